package proxy_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// observed has what the edge tells of requests kept.
func (e *edge) observed(begin func([]byte, bool) accesslog.Trace) <-chan accesslog.Record {
	told := make(chan accesslog.Record, 10)
	e.Observe(&accesslog.Observer{Fields: true, ResponseFields: true, Begin: begin, Ended: func(r *accesslog.Record) {
		c := *r
		for _, b := range []*[]byte{&c.Method, &c.Path, &c.Query, &c.Host, &c.GRPCStatus} {
			*b = bytes.Clone(*b)
		}
		for _, f := range []*[]accesslog.Field{&c.Request, &c.OriginFields, &c.Downstream} {
			*f = slices.Clone(*f)
			for i := range *f {
				(*f)[i] = accesslog.Field{Name: bytes.ToLower((*f)[i].Name), Value: bytes.Clone((*f)[i].Value)}
			}
		}
		told <- c
	}})
	return told
}

// value returns the value of a field.
func value(fields []accesslog.Field, name string) string {
	for _, f := range fields {
		if string(f.Name) == name {
			return string(f.Value)
		}
	}
	return ""
}

// TestObserve shows what is told of requests that were forwarded.
func TestObserve(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		ep := w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			rw.Header().Set("X-Origin", "1")
			rw.WriteHeader(201)
			rw.Write(make([]byte, 70000))
		})
		v := w.visit(t, proxy.Options{}, ep)
		told := v.observed(nil)
		for _, size := range []int{0, 10, 100000} {
			for _, streams := range []bool{false, true} {
				var body io.Reader = strings.NewReader(strings.Repeat("x", size))
				if streams {
					body = hideLength(body)
				}
				r := v.request("POST", "/a/../b?c=d", body)
				r.Header.Set("X-Asked", "2")
				v.do(r)
				got := <-told
				protocol := map[bool]string{true: "HTTP/1.1", false: w.front[:6] + ".0"}[strings.HasPrefix(w.front, "HTTP/1.1")]
				if got.Protocol != protocol || string(got.Method) != "POST" || string(got.Path) != "/a/../b" || string(got.Query) != "?c=d" ||
					string(got.Host) != "example.com" || got.RequestSize != int64(size) || got.Status != 201 || got.OriginStatus != 201 ||
					got.Size != 70000 || got.OriginSize != 70000 || got.Broken || got.Tunnel || got.Reason != "" || got.Retries != 0 {
					t.Errorf("%d bytes, streams %v: got %+v", size, streams, got)
				}
				if got.Backend != web || got.Route == nil || got.Route.Host != "example.com" || got.Endpoint.String() != ep ||
					got.OriginProtocol != w.endpoints(ep)[web][0].Protocol {
					t.Errorf("got %+v", got)
				}
				if got.Start.IsZero() || got.Duration <= 0 || got.Origin <= 0 || got.OriginHead <= 0 || got.Origin < got.OriginHead || got.Duration < got.Origin {
					t.Errorf("durations %v, %v, %v", got.Duration, got.Origin, got.OriginHead)
				}
				if value(got.Request, "x-asked") != "2" || value(got.OriginFields, "x-origin") != "1" || value(got.Downstream, "x-origin") != "1" {
					t.Errorf("fields %s, %s, %s", got.Request, got.OriginFields, got.Downstream)
				}
				if secure := v.base[:5] == "https"; secure != (got.TLSVersion != 0) || secure != (got.TLSCipher != 0) || secure != (got.Scheme == "https") {
					t.Errorf("TLS %x %x, %s", got.TLSVersion, got.TLSCipher, got.Scheme)
				}
				if got.Client.String() != "127.0.0.1" || got.Peer.Addr() != got.Client || got.Peer.Port() == 0 {
					t.Errorf("from %v, %v", got.Peer, got.Client)
				}
			}
		}
	})
}

// TestObserveEnds shows what is told of requests that came to nothing.
func TestObserveEnds(t *testing.T) {
	e := start(t, proxy.Options{Policy: waits(time.Second, time.Second/5)}, proxy.Entrypoint{Name: "web"})
	told := e.observed(nil)
	for _, tc := range []struct {
		say, method string
		status      int
		reason      string
	}{
		{getRoot, "GET", 503, "no endpoint"},
		{"GET / HTTP/1.1\r\nHost: other\r\n\r\n", "GET", 404, "no route for this host and path"},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET", 400, "missing, repeated or malformed host"},
		{"what\r\n\r\n", "", 400, "malformed request line"},
		{"GET /" + strings.Repeat("x", 20000), "", 414, "request line is too long"},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", 204, "answered by a middleware"},
	} {
		p := e.dial(t).say(tc.say)
		p.hear("GET")
		got := <-told
		if string(got.Method) != tc.method || got.Status != tc.status || got.Reason != tc.reason || got.Entrypoint != "web" ||
			got.OriginStatus != 0 || got.Endpoint.IsValid() || got.Broken {
			t.Errorf("%.40q: got %+v", tc.say, got)
		}
		p.Conn.Close()
	}
	if len(told) > 0 {
		t.Errorf("told of %+v", <-told)
	}
}

// TestTrace shows that an endpoint gets the trace that Begin has made, and
// nothing that it has not continued.
func TestTrace(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, tell))
		for _, tc := range []struct {
			sent      []string
			continued bool
			parent    string
			state     string
		}{
			{nil, false, "", ""},
			{[]string{"00-x"}, true, "00-x", "Tracestate: s\n"},
			{[]string{"00-x"}, false, "00-x", ""},
			{[]string{"00-x", "00-y"}, false, "", ""},
		} {
			trace := accesslog.Trace{ID: [16]byte{1}, Span: [8]byte{2}, Sampled: true, Continued: tc.continued}
			parents := make(chan string, 1)
			told := v.observed(func(p []byte, trusted bool) accesslog.Trace {
				parents <- string(p)
				return trace
			})
			r := v.request("GET", "/", nil)
			r.Header["Traceparent"] = tc.sent
			r.Header.Set("Tracestate", "s")
			_, body := v.do(r)
			parent := <-parents
			if !strings.Contains(body, "\nTraceparent: 00-01000000000000000000000000000000-0200000000000000-01\n"+tc.state+"X-") &&
				!strings.Contains(body, "\nTraceparent: 00-01000000000000000000000000000000-0200000000000000-01\n"+tc.state+"User-Agent") || parent != tc.parent {
				t.Errorf("%+v: Begin got %q, the endpoint\n%s", tc, parent, body)
			}
			if got := <-told; got.Trace != trace {
				t.Errorf("told of %+v", got.Trace)
			}
		}
	})
}

// TestObserveRetries shows that the record of a retried request counts the tries.
func TestObserveRetries(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, handler(t, tell), "127.0.0.1:1")
	told := e.observed(nil)
	retries := 0
	for range 2 {
		if resp, _ := e.dial(t).say(getRoot).hear("GET"); resp.StatusCode != 200 {
			t.Fatal(resp)
		}
		got := <-told
		retries += got.Retries
		if got.Endpoint.Port() == 1 || got.OriginProtocol != route.HTTP {
			t.Errorf("got %+v", got)
		}
	}
	if retries != 1 {
		t.Errorf("%d retries", retries)
	}
}
