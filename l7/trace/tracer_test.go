package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSpans sends spans to a collector, which reads them.
func TestSpans(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/traces" || r.Header.Get("Authorization") != "Bearer t" {
			t.Errorf("asked for %s with %q", r.URL, r.Header["Authorization"])
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		data, _ := io.ReadAll(z)
		m := &collector.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(data, m); err != nil {
			t.Error(err)
		}
		got <- m
	}))
	defer srv.Close()
	c, faults := parseText(t, "endpoint = '"+srv.URL+"'\nsample = 0.0\nauthorization_file = '/t'")
	if faults != "" {
		t.Fatal(faults)
	}
	tr := New(c, "edge-1", slog.New(slog.DiscardHandler))
	stop := run(t, tr)

	r := accesslog.Record{
		Start: time.Unix(100, 0), Duration: time.Second, Method: []byte("GET"), Path: []byte("/a\xff"), Query: []byte("?b&sig=secret&c=1"),
		Host: []byte("a.example:8080"), Protocol: "HTTP/2.0", Scheme: "https", Peer: netip.MustParseAddrPort("192.0.2.1:5"),
		Route:  &route.Spec{Path: "/", Origin: route.Origin{Kind: "Ingress", Namespace: "n", Name: "i"}},
		Status: 502, Reason: "no endpoint answered", Endpoint: netip.MustParseAddrPort("10.0.0.1:80"),
		Trace: tr.Begin([]byte("00-"+traceID+"-"+parentID+"-01"), true),
	}
	span := hex.EncodeToString(r.Trace.Span[:])
	tr.Ended(&r)
	r.Trace.Sampled = false
	tr.Ended(&r)
	stop()

	spans := (<-got).ResourceSpans[0]
	if text := spans.Resource.String(); !strings.Contains(text, "edge-1") || !strings.Contains(text, "portico") {
		t.Errorf("resource is %s", text)
	}
	if n := len(spans.ScopeSpans[0].Spans); n != 1 {
		t.Fatalf("%d spans", n)
	}
	s := spans.ScopeSpans[0].Spans[0]
	text := fmt.Sprintf("%x %x %x %s %s %d %d %s", s.TraceId, s.SpanId, s.ParentSpanId, s.Name, s.Kind, s.StartTimeUnixNano, s.EndTimeUnixNano, s.Status.Message)
	want := traceID + " " + span + " " + parentID + " GET / SPAN_KIND_SERVER 100000000000 101000000000 no endpoint answered"
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	attributes := map[string]string{}
	for _, a := range s.Attributes {
		attributes[a.Key] = strings.ReplaceAll(a.Value.String(), " ", "")
	}
	for key, want := range map[string]string{
		"http.request.method": `string_value:"GET"`, "url.path": `string_value:"/a` + "\ufffd" + `"`, "url.query": `string_value:"b&sig=REDACTED&c=1"`,
		"server.address": `string_value:"a.example"`, "server.port": "int_value:8080", "http.response.status_code": "int_value:502",
		"error.type": `string_value:"502"`, "http.route": `string_value:"/"`, "network.protocol.version": `string_value:"2"`,
		"client.address": `string_value:"192.0.2.1"`, "portico.endpoint": `string_value:"10.0.0.1:80"`,
	} {
		if attributes[key] != want {
			t.Errorf("%s is %s, want %s", key, attributes[key], want)
		}
	}
	if st := tr.Status(); st.Spans != 1 || st.Sent != 1 || st.Error != "" {
		t.Errorf("status is %+v", st)
	}
}

// TestNoCollector tells once that spans do not arrive, and holds nobody up.
func TestNoCollector(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }))
	defer srv.Close()
	var told bytes.Buffer
	c, _ := parseText(t, "endpoint = '"+srv.URL+"'\nsample = 1.0")
	tr := New(c, "edge-1", slog.New(slog.NewTextHandler(&told, nil)))
	tr.Ended(&accesslog.Record{Trace: tr.Begin(nil, false)}) // nobody runs yet
	stop := run(t, tr)
	for range 10_000 {
		tr.Ended(&accesslog.Record{Trace: tr.Begin(nil, false)})
	}
	stop()
	if s := tr.Status(); s.Spans != 10_000 || s.Sent != 0 || !strings.Contains(s.Error, "400") {
		t.Errorf("status is %+v", s)
	}
	if n := strings.Count(told.String(), "spans not sent"); n != 1 {
		t.Errorf("told %d times: %s", n, told.String())
	}
}

// run runs tr until the returned function is called.
func run(t testing.TB, tr *Tracer) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done, ready := make(chan error), make(chan struct{})
	go func() { done <- tr.Run(ctx, func() { close(ready) }) }()
	select {
	case err := <-done:
		t.Fatal(err)
	case <-ready:
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func parseText(t *testing.T, text string) (Config, string) {
	t.Helper()
	var s Section
	if err := toml.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	var faults []string
	return s.Parse(value.Parser{
		ReadFile: func(string) ([]byte, error) { return []byte("Bearer t\n"), nil },
		Bad:      func(key, problem string) { faults = append(faults, key+": "+problem) },
	}), strings.Join(faults, "\n")
}

func TestConfig(t *testing.T) {
	if c := (*Section)(nil).Parse(value.Parser{}); c.Endpoint != "" {
		t.Errorf("without a section there is %+v", c)
	}
	if c, _ := parseText(t, "endpoint = 'https://c/x'"); c.Endpoint != "https://c/x" || c.Sample != 0.1 || c.ServiceName != "portico" {
		t.Errorf("got %+v", c)
	}
	for _, c := range []struct{ in, want string }{
		{"sample = 0.5", `endpoint: "" is no collector: want one such as "http://127.0.0.1:4318"`},
		{"endpoint = 'localhost:4317'", `endpoint: "localhost:4317" is no collector: want one such as "http://127.0.0.1:4318"`},
		{"endpoint = 'http://c'\nsample = 2.0", "sample: 2 is out of range: allowed are 0 to 1"},
		{"endpoint = 'https://c'\nca_file = '/ca'", "ca_file: holds no certificate"},
		{"endpoint = 'http://c'\nheaders = { Authorization = 'x' }", "headers: a credential belongs into a file of its own: its key is authorization_file"},
	} {
		if _, got := parseText(t, c.in); got != c.want {
			t.Errorf("%s: got %s", c.in, got)
		}
	}
}
