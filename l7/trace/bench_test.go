package trace

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/accesslog"
)

// BenchmarkTrace is what a request costs that is traced.
func BenchmarkTrace(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	for name, sample := range map[string]float64{"not sampled": 0, "sampled": 1} {
		b.Run(name, func(b *testing.B) {
			tr := New(Config{Endpoint: srv.URL + "/v1/traces", Sample: sample, ServiceName: "portico"}, "edge-1", slog.New(slog.DiscardHandler))
			stop := run(b, tr)
			defer stop()
			r := accesslog.Record{
				Start: time.Now(), Duration: time.Millisecond, Method: []byte("GET"), Path: []byte("/a"), Host: []byte("a.example"),
				Protocol: "HTTP/1.1", Scheme: "http", Peer: netip.MustParseAddrPort("192.0.2.1:5"), Status: 200,
			}
			out := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				r.Trace = tr.Begin(nil, false)
				out = r.Trace.AppendParent(out[:0])
				tr.Ended(&r)
			}
		})
	}
}
