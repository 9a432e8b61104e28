package metrics

import (
	"cmp"
	"slices"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/proxy"
)

func (o out) l7(s l7.Status) {
	o.gauge("portico_l7_ready", "Whether connections may be sent to this node's proxy.").add(truth(s.Ready))
	o.gauge("portico_l7_routes", "Rules that answer.").add(float64(s.Routes))
	o.gauge("portico_l7_backends", "Backends that are known, whether a rule leads there or not.").add(float64(s.Backends))
	o.gauge("portico_l7_endpoints", "Endpoints of these.").add(float64(s.Endpoints))
	o.gauge("portico_l7_conflicts", "Rules that do not answer, for an older one has their host and path.").add(float64(len(s.Conflicts)))
	o.gauge("portico_l7_problems", "Faults in the objects that routes are read from.").add(float64(len(s.Problems)))
	if src := s.Source; src != nil {
		o.gauge("portico_l7_source_fault", "Whether the source of routes cannot be read now; what was read before, if anything, is served.").add(truth(src.Err != ""))
		o.gauge("portico_l7_source_fault_timestamp_seconds", "Since when it cannot be read.").at(src.ErrSince)
		o.gauge("portico_l7_source_changed_timestamp_seconds", "When the source's objects last changed.").at(src.Changed)
		o.gauge("portico_l7_source_restored", "Whether the API server has not answered since the start, and what it said before is served.").add(truth(!src.Restored.IsZero()))
	}
	if w := s.Writer; w != nil {
		o.gauge("portico_l7_writer", "Whether this node is the one that writes addresses into Ingresses.").add(truth(w.Elected))
		o.gauge("portico_l7_writer_fault", "Whether something could not be written to the API server.").add(truth(w.Err != ""))
	}
	if a := s.AccessLog; a != nil {
		lines := o.counter("portico_l7_access_log_lines_total", "Lines of the access log, by what became of them: written or lost.", "outcome")
		lines.add(float64(a.Lines), "written")
		lines.add(float64(a.Lost), "lost")
		o.gauge("portico_l7_access_log_fault", "Whether nothing is written now.").add(truth(a.Error != ""))
	}
	if t := s.Trace; t != nil {
		spans := o.counter("portico_l7_trace_spans_total", "Spans of tracing: made, and of these sent.", "outcome")
		spans.add(float64(t.Spans), "made")
		spans.add(float64(t.Sent), "sent")
	}
	o.connections(s.Engine)
}

func (o out) connections(s proxy.Status) {
	o.gauge("portico_l7_connections", "Connections of clients.").add(float64(s.Connections))
	o.counter("portico_l7_connections_total", "Connections of clients that were accepted.").add(float64(s.Accepted))
	o.gauge("portico_l7_tunnels", "Of these, those that became tunnels, such as of websockets.").add(float64(s.Tunnels))
	refused := o.counter("portico_l7_connections_refused_total", "Connections that were closed without an answer.", "reason")
	refused.add(float64(s.Refused.ProxyHeader), "proxy_header")
	refused.add(float64(s.Refused.Source), "source_limit")
}

// codes are the labels of a Traffic's Codes.
var codes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// traffic tells of requests by route. A code that was never seen is left out,
// but for those that ratios are made of.
func (o out) traffic(routes []proxy.Traffic) {
	requests := o.counter("portico_l7_requests_total", "Requests that have ended, by the class of the response's status; none is where there was no response.", "route", "code")
	took := o.buckets("portico_l7_request_duration_seconds", "From a request's head to the end of its response; tunnels are left out.", "route")
	received := o.counter("portico_l7_request_body_bytes_total", "Bytes of the bodies of requests that have ended, and what tunnels carried from clients.", "route")
	sent := o.counter("portico_l7_response_body_bytes_total", "Bytes of the bodies of responses that have ended, and what tunnels carried to clients.", "route")
	bounds := proxy.Durations()
	for _, t := range routes {
		for i, n := range t.Codes {
			if n > 0 || i == 2 || i == 5 {
				requests.add(float64(n), t.Route, codes[i])
			}
		}
		took.add(bounds, t.Buckets[:], t.Seconds, t.Route)
		received.add(float64(t.Received), t.Route)
		sent.add(float64(t.Sent), t.Route)
	}
}

// maxCertificates is how many certificates have samples of their own: those that
// expire first, or are at fault.
const maxCertificates = 500

// certificates tells of those that are shown, and of those that cannot be.
func (o out) certificates(s l7.Status) {
	expires := o.gauge("portico_certificate_not_after_timestamp_seconds", "When the certificate expires.", "name")
	fault := o.gauge("portico_certificate_fault", "Whether the pair last given is not used, but the one before it.", "name")
	first := slices.SortedStableFunc(slices.Values(s.Certificates), func(a, b certs.Certificate) int {
		if (a.Err != "") != (b.Err != "") {
			return cmp.Compare(b.Err, a.Err) // "" is the least
		}
		return a.NotAfter.Compare(b.NotAfter)
	})
	for _, c := range first[:min(len(first), maxCertificates)] {
		expires.at(c.NotAfter, c.Name)
		fault.add(truth(c.Err != ""), c.Name)
	}
	o.gauge("portico_certificate_faults", "Certificates that cannot be used at all.").add(float64(len(s.CertificateFaults)))
	if s.ACME == nil {
		return
	}
	failed := 0
	for _, h := range s.ACME.Hosts {
		if h.Err != "" {
			failed++
		}
	}
	o.gauge("portico_acme_hosts", "Hosts that a certificate is asked for.").add(float64(len(s.ACME.Hosts)))
	o.gauge("portico_acme_failed_hosts", "Of these, those whose last order failed.").add(float64(failed))
}
