package metrics

import "github.com/portico-lb/portico/l4/shield"

// shield says what is to be dropped. What was is among portico_xdp_frames_total,
// as drop_denied and drop_syn_rate, and flows that were not remembered are among
// portico_xdp_events_total, as flow_bypassed.
func (o out) shield(s shield.Status) {
	denied := o.gauge("portico_shield_denied", "Networks whose packets are dropped, by who denies them: order or configuration.", "by")
	denied.add(float64(s.Ordered), shield.ByOrder)
	denied.add(float64(s.Configured), shield.ByConfiguration)
	o.gauge("portico_shield_syn_rate", "TCP connections a second that a source may open; 0 is any number.").add(float64(s.SYNRate))
	o.gauge("portico_shield_fault", "Whether something is to be dropped and XDP, which would, does not run.").add(truth(s.Fault != ""))
}
