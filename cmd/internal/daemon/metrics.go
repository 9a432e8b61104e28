package daemon

import (
	"context"
	"net/http"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/metrics"
)

// metricsPath is where Prometheus looks.
const metricsPath = "/metrics"

// process is what this process is called beside the other one of the node. One
// that runs all parts is the director.
func (d *daemon) process() string {
	if d.isProxy() {
		return "proxy"
	}
	return "director"
}

// metrics answers with the samples of this process, and of a director with those
// of its proxy.
func (d *daemon) metrics() http.Handler {
	registry := metrics.New(d.process(), d.samples)
	log := d.log.With("part", "admin")
	if d.l7 != nil {
		return metrics.Handler(log, registry, nil)
	}
	alone := metrics.Handler(log, registry, nil)
	whole := metrics.Handler(log, registry, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, proxyTime)
		defer cancel()
		return admin.Fetch(ctx, d.proxySocket, metricsPath)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.proxies() {
			whole.ServeHTTP(w, r)
		} else {
			alone.ServeHTTP(w, r)
		}
	})
}

// samples are what this process knows.
func (d *daemon) samples() metrics.Snapshot {
	s := d.status()
	m := metrics.Snapshot{
		Process: d.process(),
		Version: Version,
		Config:  metrics.Config{Hash: s.Config.Hash, Loaded: s.Config.Loaded, Refused: s.Config.Error != ""},
		VIP:     s.VIP, Notify: s.Notify, Health: s.Health, L4: s.L4, XDP: s.XDP, Shield: s.Shield, Guard: s.Guard, Nodes: s.Nodes, PodRoutes: s.PodRoutes, L7: s.L7,
	}
	if d.l7 != nil {
		m.Traffic = d.l7.Traffic()
	}
	return m
}
