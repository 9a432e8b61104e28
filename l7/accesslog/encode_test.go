package accesslog

import (
	"crypto/tls"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// parse reads a section that must be right.
func parse(t testing.TB, text string) Config {
	t.Helper()
	s := Section{File: "/log"}
	if err := toml.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s.Parse(value.Parser{Bad: func(key, problem string) { t.Errorf("%s: %s", key, problem) }})
}

func record() *Record {
	web := &route.Spec{
		Host: "shop.example.com", Path: "/api",
		Backend: route.Backend{Namespace: "shop", Service: "web", Port: "http"},
		Origin:  route.Origin{Kind: "Ingress", Namespace: "shop", Name: "edge"},
	}
	field := func(name, value string) Field { return Field{[]byte(name), []byte(value)} }
	return &Record{
		Start:    time.Date(2026, 3, 29, 1, 59, 59, 987_654_321, time.UTC),
		Duration: 2 * time.Second, Origin: 1500 * time.Millisecond, OriginHead: time.Second,
		Entrypoint: "https", Scheme: "https",
		Peer: netip.MustParseAddrPort("10.0.0.9:40000"), Client: netip.MustParseAddr("2001:db8::7"), User: "al",
		TLSVersion: tls.VersionTLS13, TLSCipher: tls.TLS_AES_128_GCM_SHA256,
		Protocol: "HTTP/1.1", Method: []byte("POST"), Path: []byte("/api/a"), Query: []byte("?q=\"1\""),
		Host: []byte("shop.example.com:8443"), RequestSize: 12,
		Request: []Field{
			field("user-agent", "curl/8\n"), field("Referer", "https://x/"), field("AUTHORIZATION", "Basic c2VjcmV0"),
			field("User-Agent", "second"),
		},
		OriginFields: []Field{field("content-type", "text/plain")},
		Downstream:   []Field{field("Set-Cookie", "secret=1")},
		Route:        web, Backend: web.Backend,
		Endpoint: netip.MustParseAddrPort("10.1.0.3:8080"), OriginProtocol: route.HTTPS, Retries: 1,
		OriginStatus: 200, OriginSize: 900, Status: 200, Size: 300,
		Trace: Trace{ID: [16]byte{15: 1}, Span: [8]byte{7: 2}},
	}
}

// TestJSON compares lines with what Traefik's users read.
func TestJSON(t *testing.T) {
	time.Local = time.FixedZone("", 3600)
	defer func() { time.Local = time.UTC }()
	want := map[string]any{
		"level": "info", "msg": "", "time": "2026-03-29T03:00:01.987654+01:00",
		"StartUTC": "2026-03-29T01:59:59.987654Z", "StartLocal": "2026-03-29T02:59:59.987654+01:00",
		"Duration": 2e9, "Overhead": 5e8, "OriginDuration": 1.5e9, "OriginHeadDuration": 1e9,
		"FrontendName": "shop.example.com/api", "BackendName": "shop/web:http",
		"BackendURL": "https://10.1.0.3:8080", "BackendAddr": "10.1.0.3:8080",
		"ClientAddr": "10.0.0.9:40000", "ClientHost": "2001:db8::7", "ClientPort": "-", "ClientUsername": "al",
		"RequestAddr": "shop.example.com:8443", "RequestHost": "shop.example.com", "RequestPort": "8443",
		"RequestMethod": "POST", "RequestPath": `/api/a?q="1"`, "RequestProtocol": "HTTP/1.1",
		"RequestLine": `POST /api/a?q="1" HTTP/1.1`, "RequestContentSize": 12.0,
		"OriginContentSize": 900.0, "OriginStatus": 200.0, "OriginStatusLine": "200 OK",
		"DownstreamStatus": 200.0, "DownstreamStatusLine": "200 OK", "DownstreamContentSize": 300.0,
		"RequestCount": 7.0, "GzipRatio": 3.0, "RetryAttempts": 1.0,
		"entryPointName": "https", "RequestScheme": "https", "TLSVersion": "1.3", "TLSCipher": "TLS_AES_128_GCM_SHA256",
		"KubernetesIngressNamespace": "shop", "KubernetesIngressName": "edge",
		"KubernetesServiceName": "web", "KubernetesServicePort": "http",
		"TraceId": "00000000000000000000000000000001", "SpanId": "0000000000000002",
		"request_User-Agent": "curl/8\n", "request_Referer": "https://x/",
	}
	for _, c := range []struct {
		name, config string
		change       func(*Record)
		extra        map[string]any
		gone         []string
	}{
		{name: "all"},
		{name: "dropped", config: "fields = { drop = ['ClientHost', 'RequestPath', 'RequestLine'] }",
			gone: []string{"ClientHost", "RequestPath", "RequestLine"}},
		{name: "named header fields", config: "headers = { keep = ['Content-Type', 'Set-Cookie'], redact = ['Authorization'] }",
			extra: map[string]any{"origin_Content-Type": "text/plain", "downstream_Set-Cookie": "secret=1", "request_Authorization": "REDACTED"},
			gone:  []string{"request_User-Agent", "request_Referer"}},
		{name: "all header fields but secrets", config: "headers = { default = 'keep', drop = ['Referer'] }",
			extra: map[string]any{"origin_Content-Type": "text/plain", "downstream_Set-Cookie": "REDACTED", "request_Authorization": "REDACTED"},
			gone:  []string{"request_Referer"}},
		{name: "whatever a secret is called", config: "headers = { default = 'keep', keep = ['X-Session-Name'] }",
			change: func(r *Record) {
				r.Request = []Field{
					{Name: []byte("X-Forwarded-Access-Token"), Value: []byte("a")}, {Name: []byte("Private-Token"), Value: []byte("b")}, {Name: []byte("Cf-Access-Jwt-Assertion"), Value: []byte("c")},
					{Name: []byte("X-Session-Name"), Value: []byte("d")}, {Name: []byte("X-Request-Id"), Value: []byte("e")},
				}
			},
			extra: map[string]any{
				"request_X-Forwarded-Access-Token": "REDACTED", "request_Private-Token": "REDACTED",
				"request_Cf-Access-Jwt-Assertion": "REDACTED", "request_X-Session-Name": "d", "request_X-Request-Id": "e",
				"origin_Content-Type": "text/plain", "downstream_Set-Cookie": "REDACTED",
			},
			gone: []string{"request_User-Agent", "request_Referer"}},
		{name: "nothing was reached",
			change: func(r *Record) {
				r.Route, r.Backend, r.Endpoint, r.OriginStatus, r.OriginSize, r.Retries = nil, route.Backend{}, netip.AddrPort{}, 0, 0, 0
				r.Status, r.Reason, r.Origin, r.OriginHead = 404, "no route for this host and path", 0, 0
				r.Client, r.TLSVersion, r.TLSCipher, r.Trace = netip.Addr{}, 0, 0, Trace{}
			},
			extra: map[string]any{
				"DownstreamStatus": 404.0, "DownstreamStatusLine": "404 Not Found", "Reason": "no route for this host and path",
				"OriginDuration": 0.0, "OriginHeadDuration": 0.0, "Overhead": 2e9, "OriginStatus": 0.0, "OriginContentSize": 0.0,
				"RetryAttempts": 0.0, "ClientHost": "10.0.0.9", "ClientPort": "40000",
			},
			gone: []string{
				"FrontendName", "BackendName", "BackendURL", "BackendAddr", "OriginStatusLine", "GzipRatio", "TLSVersion", "TLSCipher",
				"KubernetesIngressNamespace", "KubernetesIngressName", "KubernetesServiceName", "KubernetesServicePort", "TraceId", "SpanId",
			}},
		{name: "the client left", change: func(r *Record) { r.Status, r.Size, r.Broken = 0, 0, true },
			extra: map[string]any{
				"DownstreamStatus": 499.0, "DownstreamStatusLine": "499 Client Closed Request", "DownstreamContentSize": 0.0, "Broken": true,
			}, gone: []string{"GzipRatio"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, want := record(), clone(want, c.extra, c.gone)
			if c.change != nil {
				c.change(r)
			}
			e := newEncoder()
			e.count = 7
			line := e.encode(newPlan(parse(t, c.config)), r)
			var got map[string]any
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func clone(m, extra map[string]any, gone []string) map[string]any {
	out := map[string]any{}
	for _, from := range []map[string]any{m, extra} {
		for k, v := range from {
			out[k] = v
		}
	}
	for _, k := range gone {
		delete(out, k)
	}
	return out
}

func TestCommon(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{"", `2001:db8::7 - al [29/Mar/2026:01:59:59 +0000] "POST /api/a?q=\x221\x22 HTTP/1.1" 200 300 "https://x/" "curl/8\x0a" 7 "shop.example.com/api" "https://10.1.0.3:8080" 2000ms`},
		{"fields = { drop = ['ClientHost', 'RequestLine', 'BackendURL'] }\nheaders = { keep = [], redact = ['Referer'] }",
			`- - al [29/Mar/2026:01:59:59 +0000] "-" 200 300 "REDACTED" "-" 7 "shop.example.com/api" "-" 2000ms`},
	} {
		e := newEncoder()
		e.count = 7
		if got := string(e.encode(newPlan(parse(t, "format = 'common'\n"+c.config)), record())); got != c.want+"\n" {
			t.Errorf("got\n%swant\n%s", got, c.want)
		}
	}
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		config           string
		status, duration int
		retries          int
		want             bool
	}{
		{"", 200, 0, 0, true},
		{"status_codes = ['500-599', '404']", 404, 0, 0, true},
		{"status_codes = ['500-599', '404']", 405, 0, 0, false},
		{"status_codes = ['500-599', '404']", 599, 0, 0, true},
		{"status_codes = ['499']", 0, 0, 0, true},
		{"min_duration = '1s'", 200, 999, 0, false},
		{"min_duration = '1s'", 200, 1000, 0, true},
		{"retry_attempts = true", 200, 0, 0, false},
		{"retry_attempts = true", 200, 0, 1, true},
		// They widen, each other.
		{"retry_attempts = true\nmin_duration = '1s'\nstatus_codes = ['500-599']", 200, 1000, 0, true},
	} {
		f := parse(t, c.config).Filter
		r := Record{Status: c.status, Duration: time.Duration(c.duration) * time.Millisecond, Retries: c.retries}
		if got := f.Keeps(&r); got != c.want {
			t.Errorf("%s: status %d, %dms, %d retries: got %v", c.config, c.status, c.duration, c.retries, got)
		}
	}
}

// FuzzLine has strangers try to write lines of their own.
func FuzzLine(f *testing.F) {
	f.Add("/a", "?b", "h:1", "curl", "al")
	f.Add("/\"}\n{", "\xff\xfe\u2028", "[::1]:80", "\\", "\r\n")
	json1, common := newPlan(parse(f, "headers.default = 'keep'")), newPlan(parse(f, "format = 'common'"))
	f.Fuzz(func(t *testing.T, path, query, host, agent, user string) {
		r := record()
		r.Path, r.Query, r.Host, r.User = []byte(path), []byte(query), []byte(host), user
		r.Request = append(r.Request[:0], Field{[]byte("User-Agent"), []byte(agent)})
		e := newEncoder()
		for _, p := range []*plan{json1, common} {
			if line := string(e.encode(p, r)); strings.Count(line, "\n") != 1 || line[len(line)-1] != '\n' {
				t.Fatalf("more than a line: %q", line)
			}
		}
		var got map[string]any
		if err := json.Unmarshal(e.encode(json1, r), &got); err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(agent)
		var want string
		json.Unmarshal(text, &want)
		if got["request_User-Agent"] != want {
			t.Fatalf("%q became %q, want %q", agent, got["request_User-Agent"], want)
		}
		if l := string(e.encode(common, r)); strings.Count(l, `"`) != 10 {
			t.Fatalf("quotes escaped: %q", l)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	for name, config := range map[string]string{
		"json": "", "json with all header fields": "headers.default = 'keep'", "common": "format = 'common'",
	} {
		b.Run(name, func(b *testing.B) {
			l, r := New(parse(b, config), nil), record()
			r.Duration = 2 * time.Millisecond
			b.ReportAllocs()
			before := processor(b)
			for b.Loop() {
				l.Ended(r)
				if l.buffer.held > urgentChunks*chunkSize {
					for _, c := range l.buffer.take(false) {
						l.buffer.done(c)
					}
				}
			}
			// The machine may have more to do: what is shown beside the time is
			// that of the processor.
			b.ReportMetric(float64(processor(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processor is how long this process has been running on one.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
