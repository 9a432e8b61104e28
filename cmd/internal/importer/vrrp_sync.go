package importer

import (
	"slices"
)

// soleMembers forgets sync groups that have one member or none.
func (k *keepalived) soleMembers(all []node) {
	there := map[string]int{}
	for _, n := range all {
		if n.name() == "vrrp_instance" && k.groups[n.word(1)] != "" {
			there[k.groups[n.word(1)]]++
		}
	}
	for member, group := range k.groups {
		if there[group] < 2 {
			delete(k.groups, member)
		}
	}
}

// syncGroup reads a vrrp_sync_group.
func (k *keepalived) syncGroup(n node) {
	var members []string
	for _, d := range n.body {
		switch d.name() {
		case "group":
			members = append(members, d.words[1:]...)
			for _, m := range d.body {
				members = append(members, m.words...)
			}
		case "notify", "notify_master", "notify_backup", "notify_fault", "notify_stop", "smtp_alert":
		default:
			k.doc.note(nil, Lost, d.at, "%s of sync group %s: write it for its groups", d.name(), n.word(1))
		}
	}
	for _, m := range members {
		k.groups[m] = n.word(1)
	}
	k.notifiers(n, members)
}

// sameSync gives members of a sync group what they must share: what the first
// has.
func (k *keepalived) sameSync() {
	first, count := map[string]*instance{}, map[string]int{}
	group := func(in *instance) string {
		for _, key := range in.vrrp.keys {
			if key.name == "sync_group" {
				return key.value
			}
		}
		return ""
	}
	for _, in := range k.instances {
		count[group(in)]++
	}
	for _, in := range k.instances {
		g := group(in)
		if g == "" {
			continue
		}
		if count[g] < 2 {
			in.vrrp.keys = slices.DeleteFunc(in.vrrp.keys, func(key key) bool { return key.name == "sync_group" })
			continue
		}
		f := first[g]
		if f == nil {
			first[g] = in
			continue
		}
		for _, name := range []string{"priority", "preempt", "preempt_delay", "advert_interval"} {
			k.share(f, in, name)
		}
	}
}

// share gives in the value that f has of a key.
func (k *keepalived) share(f, in *instance, name string) {
	find := func(t *table) int { return slices.IndexFunc(t.keys, func(key key) bool { return key.name == name }) }
	i, j := find(f.vrrp), find(in.vrrp)
	switch {
	case i < 0 && j < 0 || i >= 0 && j >= 0 && f.vrrp.keys[i].value == in.vrrp.keys[j].value:
		return
	case i < 0:
		in.vrrp.keys = slices.Delete(in.vrrp.keys, j, j+1)
	case j < 0:
		in.vrrp.keys = append(in.vrrp.keys, f.vrrp.keys[i])
	default:
		in.vrrp.keys[j] = f.vrrp.keys[i]
	}
	k.doc.note(in.table, Wrong, in.table.at, "%s has another %s than %s of the same sync group: it takes that one's", in.name, name, f.name)
}
