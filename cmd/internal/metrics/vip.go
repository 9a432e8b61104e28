package metrics

import (
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/notify"
	"github.com/portico-lb/portico/vip/vrrp"
)

func (o out) vip(s vip.Status) {
	state := o.gauge("portico_vip_state", "Whether the group is in the state.", "group", "state")
	owned := o.gauge("portico_vip_owned", "Whether this node serves the addresses of the group.", "group")
	since := o.gauge("portico_vip_state_timestamp_seconds", "When the group came into its state.", "group")
	priority := o.gauge("portico_vip_priority", "Priority of this node by VRRP, with what tracking adds.", "group")
	changes := o.counter("portico_vip_transitions_total", "Changes of the group's state, by what it became and why.", "group", "to", "reason")
	sent := o.counter("portico_vip_adverts_sent_total", "Adverts of VRRP that this node has sent.", "group")
	received := o.counter("portico_vip_adverts_received_total", "Adverts of VRRP that were received, whatever became of them.", "group")
	dropped := o.counter("portico_vip_adverts_dropped_total", "Adverts that were received and not accepted.", "group", "reason")
	odd := o.counter("portico_vip_adverts_mismatched_total", "Adverts that were accepted though they differ from what this node would send.", "group", "field")
	duplicates := o.gauge("portico_vip_duplicates", "Hosts that claim an address of the group beside its owner, as seen from a node that owns it.", "group")
	track := o.gauge("portico_vip_track_up", "Whether what the group depends on holds.", "group", "rule")
	fault := o.gauge("portico_vip_group_fault", "Whether something hinders the group.", "group")
	for _, g := range s.Groups {
		for _, v := range []vrrp.State{vrrp.Initialize, vrrp.Backup, vrrp.Active, vrrp.Fault} {
			state.add(truth(g.State == v), g.Name, v.String())
		}
		owned.add(truth(g.Owned), g.Name)
		since.at(g.Since, g.Name)
		fault.add(truth(g.LastError != ""), g.Name)
		for _, c := range g.Causes {
			changes.add(float64(c.Count), g.Name, c.To.String(), c.Reason)
		}
		for _, r := range g.Track {
			track.add(truth(r.Up), g.Name, r.Rule)
		}
		n := 0
		if g.Owned {
			n = len(g.Duplicates)
		}
		duplicates.add(float64(n), g.Name)
		if g.Owner != vip.OwnerVRRP {
			continue
		}
		priority.add(float64(g.EffectivePriority), g.Name)
		sent.add(float64(g.Sent), g.Name)
		received.add(float64(g.Received), g.Name)
		for reason, n := range g.Dropped {
			dropped.add(float64(n), g.Name, reason)
		}
		for field, n := range g.Mismatches {
			odd.add(float64(n), g.Name, field)
		}
	}
	o.gauge("portico_vip_fault", "Whether the kernel's addresses are not as wanted.").add(truth(s.LastError != ""))
	if s.BGP == nil {
		return
	}
	up := o.gauge("portico_vip_bgp_session_up", "Whether the neighbor hears this node.", "neighbor")
	announced := o.gauge("portico_vip_bgp_announced_routes", "Routes that the neighbor has of this node.", "neighbor")
	for _, n := range s.BGP.Sessions {
		up.add(truth(n.Up()), n.Neighbor.String())
		announced.add(float64(n.Announced), n.Neighbor.String())
	}
}

func (o out) notify(targets []notify.TargetStatus) {
	events := o.counter("portico_notify_events_total", "Transitions that were told, by what became of that: sent, failed or dropped.", "target", "outcome")
	for _, t := range targets {
		events.add(float64(t.Sent), t.Name, "sent")
		events.add(float64(t.Failed), t.Name, "failed")
		events.add(float64(t.Dropped), t.Name, "dropped")
	}
}
