// Package metrics makes Prometheus's samples of what the parts of a process say
// of themselves, when it is scraped. Nothing is counted here.
//
// All names are listed, with their units, in packaging/doc/metrics.md.
package metrics

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/guard"
	"github.com/portico-lb/portico/l4/nodes"
	"github.com/portico-lb/portico/l4/shield"
	"github.com/portico-lb/portico/l4/xdp"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/podroutes"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/notify"
)

// A Snapshot is a process at one moment. A part that does not run in it is nil.
type Snapshot struct {
	// Process is "director" or "proxy", which is a label of what both have.
	Process string
	Version string
	Config  Config

	VIP       *vip.Status
	Notify    []notify.TargetStatus
	Health    *health.Status
	L4        *l4.Status
	XDP       *xdp.Status
	Shield    *shield.Status
	Guard     *guard.Status
	Nodes     *nodes.Status
	PodRoutes *podroutes.Status
	L7        *l7.Status
	Traffic   []proxy.Traffic
}

// A Config is what became of the file.
type Config struct {
	// Hash is of the file that runs, in hexadecimal.
	Hash string
	// Loaded is when it was read, Refused whether a later one could not be used.
	Loaded  time.Time
	Refused bool
}

// New returns a registry with what snapshot says at each scrape, and what the
// runtime and the kernel say of the process.
func New(process string, snapshot func() Snapshot) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector(snapshot))
	own := prometheus.WrapRegistererWith(prometheus.Labels{"process": process}, r)
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// A collector makes samples of snapshots.
type collector func() Snapshot

// Describe says nothing: which samples there are is known at the scrape.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all samples.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s, o := c(), out{ch}
	o.process(s)
	if s.VIP != nil {
		o.vip(*s.VIP)
	}
	o.notify(s.Notify)
	if s.Health != nil {
		o.health(*s.Health)
	}
	if s.L4 != nil {
		o.l4(*s.L4)
	}
	if s.XDP != nil {
		o.xdp(*s.XDP)
	}
	if s.Shield != nil {
		o.shield(*s.Shield)
	}
	if s.Guard != nil {
		o.guard(*s.Guard)
	}
	if s.Nodes != nil {
		o.nodes(*s.Nodes)
	}
	if s.PodRoutes != nil {
		o.podRoutes(*s.PodRoutes)
	}
	if s.L7 != nil {
		o.l7(*s.L7)
		o.backends(s.L7.Engine.Backends)
		o.certificates(*s.L7)
		o.traffic(s.Traffic)
	}
}

func (o out) process(s Snapshot) {
	o.up(s.Process, true)
	o.gauge("portico_build_info", "Which portico this is; always 1.", "process", "version", "goversion").add(1, s.Process, s.Version, runtime.Version())
	o.gauge("portico_config_info", "Which file runs, by the first digits of its SHA-256; always 1.", "process", "hash").add(1, s.Process, s.Config.Hash)
	o.gauge("portico_config_last_reload_successful", "Whether the file on disk was taken when it was last read.", "process").
		add(truth(!s.Config.Refused), s.Process)
	o.gauge("portico_config_last_reload_success_timestamp_seconds", "When the file that runs was read.", "process").at(s.Config.Loaded, s.Process)
}

// out is where samples go.
type out struct{ ch chan<- prometheus.Metric }

// A family is the samples of one name.
type family struct {
	out  out
	desc *prometheus.Desc
	kind prometheus.ValueType
	// sent are the labels of those that were sent. Two of the same would spoil
	// the scrape, and may be: a server that drains and is configured again.
	sent map[string]bool
}

func (o out) gauge(name, help string, labels ...string) family {
	return family{o, prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, map[string]bool{}}
}

func (o out) counter(name, help string, labels ...string) family {
	return family{o, prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue, map[string]bool{}}
}

// add sends a sample, the first of its labels.
func (f family) add(value float64, labels ...string) {
	key := strings.Join(labels, "\xff")
	if f.sent[key] {
		return
	}
	f.sent[key] = true
	f.out.ch <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

// at sends a time, unless it is zero.
func (f family) at(t time.Time, labels ...string) {
	if !t.IsZero() {
		f.add(float64(t.UnixMilli())/1000, labels...)
	}
}

// buckets sends a histogram of counts by bound, the last of which has none.
func (o out) buckets(name, help string, labels ...string) histogram {
	return histogram{o, prometheus.NewDesc(name, help, labels, nil)}
}

type histogram struct {
	out  out
	desc *prometheus.Desc
}

func (h histogram) add(bounds []time.Duration, counts []uint64, sum float64, labels ...string) {
	var all uint64
	cumulative := make(map[float64]uint64, len(bounds))
	for i, n := range counts {
		if all += n; i < len(bounds) {
			cumulative[bounds[i].Seconds()] = all
		}
	}
	h.out.ch <- prometheus.MustNewConstHistogram(h.desc, all, sum, cumulative, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
