package metrics

import "github.com/portico-lb/portico/l4/shield"

// shield says what is to be dropped. What was is among portico_xdp_frames_total,
// as drop_denied and drop_syn_rate; flows that were not remembered are among
// portico_xdp_events_total, as flow_bypassed, and SYN cookies as cookie_sent,
// cookie_good and cookie_bad.
func (o out) shield(s shield.Status) {
	denied := o.gauge("portico_shield_denied", "Networks whose packets are dropped, by who denies them: order or configuration.", "by")
	denied.add(float64(s.Ordered), shield.ByOrder)
	denied.add(float64(s.Configured), shield.ByConfiguration)
	o.gauge("portico_shield_syn_rate", "TCP connections a second that a source may open; 0 is any number.").add(float64(s.SYNRate))
	o.gauge("portico_shield_syn_cookies", "SYNs a second and port above which SYN cookies answer; 0 is never.").add(float64(s.SYNCookies))
	o.gauge("portico_shield_fault", "Whether something is to be dropped and XDP, which would, does not run.").add(truth(s.Fault != ""))
}
