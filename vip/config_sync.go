package vip

import "fmt"

// inSync reports what keeps the groups of a sync group from moving together:
// did they differ in what decides an election, two nodes could win one each.
func inSync(groups []Group, bad func(key, problem string)) {
	members := map[string][]int{}
	for i, g := range groups {
		if name := g.VRRP.SyncGroup; name != "" {
			members[name] = append(members[name], i)
		}
	}
	for i, g := range groups {
		name := g.VRRP.SyncGroup
		if name == "" {
			continue
		}
		key := fmt.Sprintf("vip[%d].vrrp", i)
		first := members[name][0]
		a, b := groups[first].VRRP, g.VRRP
		switch {
		case len(members[name]) == 1:
			bad(key+".sync_group", fmt.Sprintf("%q has this one member: give another group the same sync_group, or remove it", name))
		case a.Priority != b.Priority:
			bad(key+".priority", fmt.Sprintf("%d differs from %d of vip[%d] in sync group %q: they move together and need one priority", b.Priority, a.Priority, first, name))
		case a.Preempt != b.Preempt || a.PreemptDelay != b.PreemptDelay:
			bad(key+".preempt", fmt.Sprintf("preempt or preempt_delay differ from those of vip[%d] in sync group %q: they move together", first, name))
		case a.AdvertInterval != b.AdvertInterval:
			bad(key+".advert_interval", fmt.Sprintf("%v differs from %v of vip[%d] in sync group %q: they move together", b.AdvertInterval, a.AdvertInterval, first, name))
		}
	}
}
