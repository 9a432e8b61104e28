package metrics

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Handler answers with what own says, and with what ask returns: the samples of
// the proxy, as text. ask is nil where there is no other process. One that does
// not answer is shown as such, and leaves the rest.
func Handler(log *slog.Logger, own prometheus.Gatherer, ask func(context.Context) ([]byte, error)) http.Handler {
	o := promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all := prometheus.Gatherers{own}
		if ask != nil {
			all = append(all, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
				return other(ask(r.Context()))
			}))
		}
		promhttp.HandlerFor(all, o).ServeHTTP(w, r)
	})
}

// other reads the samples of the proxy.
func other(text []byte, err error) ([]*dto.MetricFamily, error) {
	p := expfmt.NewTextParser(model.LegacyValidation)
	if err == nil {
		var families map[string]*dto.MetricFamily
		if families, err = p.TextToMetricFamilies(bytes.NewReader(text)); err == nil {
			out := make([]*dto.MetricFamily, 0, len(families))
			for _, f := range families {
				if of(f, "proxy") {
					out = append(out, f)
				}
			}
			return out, nil
		}
	}
	r := prometheus.NewRegistry()
	r.MustRegister(absent("proxy"))
	return r.Gather()
}

// of reports whether a family can be of a process: it is a proxy's own, or all
// samples say whose they are. A proxy that was led astray must not tell of the
// director.
func of(f *dto.MetricFamily, process string) bool {
	for _, prefix := range []string{"portico_l7_", "portico_certificate_", "portico_acme_"} {
		if strings.HasPrefix(f.GetName(), prefix) {
			return true
		}
	}
	return !slices.ContainsFunc(f.GetMetric(), func(m *dto.Metric) bool {
		return !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "process" && l.GetValue() == process })
	})
}

// absent is a process that does not answer.
type absent string

// Describe says nothing, as that of collector.
func (absent) Describe(chan<- *prometheus.Desc) {}

// Collect says that it is not there.
func (a absent) Collect(ch chan<- prometheus.Metric) { out{ch}.up(string(a), false) }

func (o out) up(process string, answers bool) {
	o.gauge("portico_up", "Whether the process answers.", "process").add(truth(answers), process)
}
