package metrics

import (
	"strconv"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/guard"
	"github.com/portico-lb/portico/l4/nodes"
	"github.com/portico-lb/portico/l7/podroutes"
)

func (o out) l4(s l4.Status) {
	o.gauge("portico_l4_fault", "Whether the latest pass over the dataplane did not come to its end.").add(truth(s.LastError != ""))
	o.gauge("portico_l4_last_reconcile_timestamp_seconds", "When the latest pass over the dataplane ended.").at(s.LastReconcile)
	o.gauge("portico_l4_drains", "Targets that operators have taken out of service on this node.").add(float64(len(s.Drains)))

	labels := []string{"service", "address", "protocol"}
	owned := o.gauge("portico_l4_service_owned", "Whether this node owns the address of the service.", labels...)
	programmed := o.gauge("portico_l4_service_programmed", "Whether the dataplane has the service.", labels...)
	sorry := o.gauge("portico_l4_service_sorry", "Whether the sorry server answers.", labels...)
	all := o.traffics("portico_l4_service", labels)
	labels = append(labels, "server")
	up := o.gauge("portico_l4_server_up", "Whether the server is up by its check; until that knows, there is no sample.", labels...)
	weight := o.gauge("portico_l4_server_weight", "Weight of the server in the dataplane; 0 gets no new connections.", labels...)
	wanted := o.gauge("portico_l4_server_configured_weight", "Weight of the server in the configuration.", labels...)
	conns := o.gauge("portico_l4_server_connections", "Entries of connections that the dataplane has, established or not (active, inactive).", append(labels, "state")...)
	each := o.traffics("portico_l4_server", labels)
	for _, v := range s.Services {
		l := []string{v.Name, address(v), v.Protocol}
		owned.add(truth(v.Owned), l...)
		programmed.add(truth(v.Programmed), l...)
		if v.Programmed {
			all.add(v.Stats, l...)
		}
		answers := false
		for _, r := range v.Servers {
			answers = answers || r.Sorry
			l := append(l[:3:3], r.Address.String())
			if r.Health == "up" || r.Health == "down" {
				up.add(truth(r.Health == "up"), l...)
			}
			weight.add(float64(r.Weight), l...)
			wanted.add(float64(r.Configured), l...)
			conns.add(float64(r.Active), append(l, "active")...)
			conns.add(float64(r.Inactive), append(l, "inactive")...)
			if v.Programmed {
				each.add(r.Stats, l...)
			}
		}
		sorry.add(truth(answers), l...)
	}
}

// address is what clients connect to, or the mark.
func address(s l4.ServiceStatus) string {
	if s.Mark != 0 {
		return "fwmark " + strconv.FormatUint(uint64(s.Mark), 10)
	}
	return s.Address.String()
}

// traffics are the counters of the dataplane.
type traffics struct{ connections, packets, bytes family }

func (o out) traffics(prefix string, labels []string) traffics {
	directed := append(labels[:len(labels):len(labels)], "direction")
	return traffics{
		o.counter(prefix+"_connections_total", "Connections that were balanced.", labels...),
		o.counter(prefix+"_packets_total", "Packets, from clients (in) and, with forward = \"nat\", to them (out).", directed...),
		o.counter(prefix+"_bytes_total", "Bytes of these packets, with their IP headers.", directed...),
	}
}

func (t traffics) add(s l4.Stats, labels ...string) {
	in, back := append(labels[:len(labels):len(labels)], "in"), append(labels[:len(labels):len(labels)], "out")
	t.connections.add(float64(s.Connections), labels...)
	t.packets.add(float64(s.PacketsIn), in...)
	t.packets.add(float64(s.PacketsOut), back...)
	t.bytes.add(float64(s.BytesIn), in...)
	t.bytes.add(float64(s.BytesOut), back...)
}

func (o out) guard(s guard.Status) {
	o.gauge("portico_l4_guard_on", "Whether packets are kept from bouncing between directors.").add(truth(s.On))
	o.gauge("portico_l4_guard_fault", "Whether the guard's rules are not as wanted.").add(truth(s.LastError != ""))
	o.counter("portico_l4_guard_packets_total", "Packets of other directors that were delivered here past the dataplane.").add(float64(s.Packets))
}

func (o out) nodes(s nodes.Status) {
	o.gauge("portico_l4_nodes_fault", "Whether the Nodes that services follow cannot be read.").add(truth(s.Error != ""))
	serving := o.gauge("portico_l4_nodes", "Nodes that a selector of servers has found, and that can serve.", "selector")
	held := o.gauge("portico_l4_nodes_held", "Whether none of a selector's Nodes can serve, so that the last ones stay.", "selector")
	for _, sel := range s.Selectors {
		serving.add(float64(len(sel.Nodes)), sel.Selector)
		held.add(truth(sel.Held), sel.Selector)
	}
}

func (o out) podRoutes(s podroutes.Status) {
	o.gauge("portico_pod_routes", "Routes to the Pods of Nodes that stand in the kernel.").add(float64(len(s.Routes)))
	o.gauge("portico_pod_routes_faults", "Nodes to whose Pods there can be no route.").add(float64(len(s.Faults)))
	o.gauge("portico_pod_routes_fault", "Whether the Nodes cannot be read.").add(truth(s.Error != ""))
}

func (o out) health(s health.Status) {
	labels := []string{"check", "kind"}
	up := o.gauge("portico_health_check_up", "Verdict of the check.", labels...)
	since := o.gauge("portico_health_check_state_timestamp_seconds", "When the verdict became what it is.", labels...)
	attempts := o.counter("portico_health_check_attempts_total", "Attempts of the check.", labels...)
	failures := o.counter("portico_health_check_failures_total", "Attempts that failed.", labels...)
	took := o.gauge("portico_health_check_duration_seconds", "How long the latest attempt took.", labels...)
	for _, c := range s.Checks {
		l := []string{c.Name, string(c.Kind)}
		if c.Known {
			up.add(truth(c.Up), l...)
			since.at(c.Since, l...)
			took.add(c.Took.Seconds(), l...)
		}
		attempts.add(float64(c.Attempts), l...)
		failures.add(float64(c.Failures), l...)
	}
	late := s.Lateness
	o.buckets("portico_health_lateness_seconds", "How long after their time attempts of checks began.").add(late.Bounds(), late.Counts[:], late.Sum.Seconds())
}
