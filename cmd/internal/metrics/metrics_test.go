package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/portico-lb/portico/cmd/internal/metrics"
	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/guard"
	"github.com/portico-lb/portico/l4/nodes"
	"github.com/portico-lb/portico/l4/shield"
	"github.com/portico-lb/portico/l4/xdp"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/podroutes"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/trace"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/bgp"
	"github.com/portico-lb/portico/vip/notify"
	"github.com/portico-lb/portico/vip/probe"
	"github.com/portico-lb/portico/vip/track"
	"github.com/portico-lb/portico/vip/vrrp"
)

var at = time.Unix(1_795_000_000, 500_000_000)

// everything is a node with one of all there is.
func everything() metrics.Snapshot {
	stats := l4.Stats{Connections: 3, PacketsIn: 40, BytesIn: 5000, PacketsOut: 1, BytesOut: 2}
	return metrics.Snapshot{
		Process: "director", Version: "1.0", Config: metrics.Config{Hash: "abc", Loaded: at},
		VIP: &vip.Status{
			Groups: []vip.GroupStatus{{
				Name: "edge", Owner: vip.OwnerVRRP, State: vrrp.Active, Owned: true, Since: at, EffectivePriority: 120, Sent: 9, Received: 8,
				Dropped: map[string]uint64{"checksum": 1}, Mismatches: map[string]uint64{"interval": 2},
				Causes:     []vip.Cause{{To: vrrp.Active, Reason: "no Active heard", Count: 4}},
				Duplicates: make([]probe.Duplicate, 1), Track: []track.RuleStatus{{Rule: "l7", Up: true}},
			}},
			BGP: &bgp.Status{Sessions: []bgp.Session{{Neighbor: netip.MustParseAddr("192.0.2.1"), State: "established", Announced: 1}}},
		},
		Notify: []notify.TargetStatus{{Name: "ops", Sent: 1}},
		Health: &health.Status{Checks: []health.CheckStatus{{
			Name: "c", Kind: "http", State: health.State{Known: true, Up: true, Since: at}, Stats: health.Stats{Attempts: 5, Failures: 1, Took: 20 * time.Millisecond},
		}}},
		L4: &l4.Status{
			LastReconcile: at,
			Services: []l4.ServiceStatus{{
				Name: "http", Address: netip.MustParseAddrPort("192.0.2.10:80"), Protocol: "tcp", Owned: true, Programmed: true, Stats: stats,
				Servers: []l4.ServerStatus{
					{Address: netip.MustParseAddrPort("192.0.2.11:80"), Configured: 1, Weight: 1, Health: "up", Active: 2, Inactive: 1, Stats: stats},
					{Address: netip.MustParseAddrPort("192.0.2.11:80"), Health: "draining"},
				},
			}},
		},
		XDP: &xdp.Status{
			Interfaces: []xdp.InterfaceStatus{{Name: "eth0", Mode: "native"}}, Services: 1,
			Cookies: &xdp.CookieStatus{Above: 100}, Verdicts: map[string]uint64{"send": 3}, Events: map[string]uint64{"new flow": 1},
		},
		Shield:    &shield.Status{Ordered: 2, Configured: 1, SYNRate: 50},
		Guard:     &guard.Status{On: true, Packets: 1},
		Nodes:     &nodes.Status{Selectors: []nodes.SelectorStatus{{Selector: "edge=true", Nodes: make([]l4.Node, 3)}}},
		PodRoutes: &podroutes.Status{Routes: make([]podroutes.Route, 2)},
		L7: &l7.Status{
			Ready: true, Routes: 4, Source: &kube.SourceStatus{Changed: at, Err: "gone", ErrSince: at}, Writer: &kube.PublisherStatus{Elected: true},
			Certificates: []certs.Certificate{{Name: "a", NotAfter: at}, {Name: "a", NotAfter: at}}, ACME: &acme.Status{Hosts: []acme.HostStatus{{Err: "x"}}},
			AccessLog: &accesslog.Status{Lines: 7, Lost: 1}, Trace: &trace.Status{Spans: 3},
			Engine: proxy.Status{Connections: 2, Backends: []backend.Status{{
				Backend: route.Backend{Namespace: "a", Service: "b", Port: "80"}, Breaker: "closed", Retries: 3,
				Endpoints: []backend.EndpointStatus{{InFlight: 1}, {Ejected: &backend.EjectionStatus{}}},
			}}},
		},
		Traffic: []proxy.Traffic{{Route: "shop/front", Codes: [6]uint64{0, 0, 10, 0, 2, 0}, Buckets: [15]uint64{11, 1}, Seconds: 0.5, Received: 100, Sent: 200}},
	}
}

// TestSamples are what a scrape shows of a node.
func TestSamples(t *testing.T) {
	r := metrics.New("director", everything)
	for _, text := range []string{
		`# HELP portico_vip_state Whether the group is in the state.
# TYPE portico_vip_state gauge
portico_vip_state{group="edge",state="Active"} 1
portico_vip_state{group="edge",state="Backup"} 0
portico_vip_state{group="edge",state="Fault"} 0
portico_vip_state{group="edge",state="Initialize"} 0
`, `# HELP portico_vip_transitions_total Changes of the group's state, by what it became and why.
# TYPE portico_vip_transitions_total counter
portico_vip_transitions_total{group="edge",reason="no Active heard",to="Active"} 4
`, `# HELP portico_vip_state_timestamp_seconds When the group came into its state.
# TYPE portico_vip_state_timestamp_seconds gauge
portico_vip_state_timestamp_seconds{group="edge"} 1.7950000005e+09
`, `# HELP portico_l4_server_connections Entries of connections that the dataplane has, established or not (active, inactive).
# TYPE portico_l4_server_connections gauge
portico_l4_server_connections{address="192.0.2.10:80",protocol="tcp",server="192.0.2.11:80",service="http",state="active"} 2
portico_l4_server_connections{address="192.0.2.10:80",protocol="tcp",server="192.0.2.11:80",service="http",state="inactive"} 1
`, `# HELP portico_l7_requests_total Requests that have ended, by the class of the response's status; none is where there was no response.
# TYPE portico_l7_requests_total counter
portico_l7_requests_total{code="2xx",route="shop/front"} 10
portico_l7_requests_total{code="4xx",route="shop/front"} 2
portico_l7_requests_total{code="5xx",route="shop/front"} 0
`, `# HELP portico_l7_backend_endpoints Endpoints of the backend: ready, ejected for a while, or leaving.
# TYPE portico_l7_backend_endpoints gauge
portico_l7_backend_endpoints{backend="a/b:80",state="ejected"} 1
portico_l7_backend_endpoints{backend="a/b:80",state="leaving"} 0
portico_l7_backend_endpoints{backend="a/b:80",state="ready"} 1
`, `# HELP portico_certificate_not_after_timestamp_seconds When the certificate expires.
# TYPE portico_certificate_not_after_timestamp_seconds gauge
portico_certificate_not_after_timestamp_seconds{name="a"} 1.7950000005e+09
`,
	} {
		name := strings.Fields(text)[2]
		if err := testutil.GatherAndCompare(r, strings.NewReader(text), name); err != nil {
			t.Error(err)
		}
	}
}

// TestSamplesFollowTheConventions: names, units and kinds are as Prometheus's
// linter wants them.
func TestSamplesFollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(metrics.New("director", everything))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestBackendsAreBounded: thousands of backends are not thousands of series.
func TestBackendsAreBounded(t *testing.T) {
	s := everything()
	s.L7.Engine.Backends = nil
	for range 1000 {
		s.L7.Engine.Backends = append(s.L7.Engine.Backends, backend.Status{
			Backend: route.Backend{Namespace: "a", Service: strings.Repeat("b", len(s.L7.Engine.Backends)+1), Port: "1"}, Breaker: "closed", Retries: 2,
		})
	}
	r := metrics.New("director", func() metrics.Snapshot { return s })
	n, err := testutil.GatherAndCount(r, "portico_l7_backend_retries_total")
	if err != nil || n != 501 {
		t.Errorf("%d series, %v", n, err)
	}
	families, _ := r.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "portico_l7_backend_retries_total" && m.GetLabel()[0].GetValue() == "other" && m.GetCounter().GetValue() != 1000 {
				t.Errorf("the others have retried %v times", m.GetCounter().GetValue())
			}
		}
	}
}

// TestCertificatesAreBounded: of thousands those have samples that somebody must
// look after first.
func TestCertificatesAreBounded(t *testing.T) {
	s := everything()
	s.L7.Certificates = nil
	for i := range 1000 {
		s.L7.Certificates = append(s.L7.Certificates, certs.Certificate{Name: fmt.Sprint(i), NotAfter: time.Unix(int64(2000-i), 0)})
	}
	s.L7.Certificates[3].Err = "odd"
	families, err := metrics.New("director", func() metrics.Snapshot { return s }).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"portico_certificate_not_after_timestamp_seconds", "portico_certificate_fault"} {
		told := map[string]bool{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == name {
					told[m.GetLabel()[0].GetValue()] = true
				}
			}
		}
		if len(told) != 500 || !told["3"] || !told["999"] || !told["501"] || told["500"] {
			t.Errorf("%s: %d certificates, at fault %v, first %v, last %v", name, len(told), told["3"], told["999"], told["501"])
		}
	}
}

// TestHandler: the samples of both processes are in one answer, and the death of
// one leaves those of the other.
func TestHandler(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	proxyText := func() string {
		s := everything()
		s.Process, s.VIP, s.L4, s.Health, s.Guard, s.Nodes, s.PodRoutes, s.Notify = "proxy", nil, nil, nil, nil, nil, nil, nil
		w := httptest.NewRecorder()
		metrics.Handler(log, metrics.New("proxy", func() metrics.Snapshot { return s }), nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}()
	own := everything()
	own.L7, own.Traffic = nil, nil
	director := metrics.New("director", func() metrics.Snapshot { return own })
	for _, c := range []struct {
		name       string
		text       string
		err        error
		has, lacks []string
	}{
		{"both", proxyText, nil, []string{`portico_up{process="director"} 1`, `portico_up{process="proxy"} 1`, `portico_l7_ready 1`,
			`go_goroutines{process="proxy"}`, `go_goroutines{process="director"}`, `portico_l7_request_duration_seconds_bucket{route="shop/front",le="0.0025"} 12`,
			`portico_vip_owned{group="edge"} 1`}, nil},
		{"a dead proxy", "", errors.New("gone"), []string{`portico_up{process="director"} 1`, `portico_up{process="proxy"} 0`, `portico_vip_owned{group="edge"} 1`}, []string{"portico_l7_ready"}},
		{"a mad proxy", "}{", nil, []string{`portico_up{process="proxy"} 0`, `portico_vip_owned{group="edge"} 1`}, nil},
		{"one that lies about us", "# TYPE portico_vip_owned counter\nportico_vip_owned{group=\"edge\"} 7\n", nil, []string{`portico_vip_owned{group="edge"} 1`}, []string{`portico_vip_owned{group="edge"} 7`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			ask := func(context.Context) ([]byte, error) { return []byte(c.text), c.err }
			metrics.Handler(log, director, ask).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			if w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			for _, want := range c.has {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("lacks %s", want)
				}
			}
			for _, not := range c.lacks {
				if strings.Contains(w.Body.String(), not) {
					t.Errorf("has %s", not)
				}
			}
		})
	}
}
