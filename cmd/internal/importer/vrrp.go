package importer

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// instance makes a [[vip]] of a vrrp_instance.
func (k *keepalived) instance(n node) {
	in := &instance{name: k.free(n.word(1)), iface: k.iface, priority: "100", preempt: "true", interval: "1s"}
	in.table = k.doc.table("[[vip]]", n.at)
	in.table.set(n.at, "name", in.name)
	in.vrrp = k.doc.table("[vip.vrrp]", Origin{})
	v := vrrpReader{k: k, in: in, version: k.version, versionAt: n.at, preempt: true}
	for _, d := range n.body {
		v.directive(d)
	}
	v.finish(n)
	if len(in.addresses) == 0 {
		k.doc.note(in.table, Wrong, n.at, "instance %s has no virtual address: it is left out", n.word(1))
		k.drop(in)
		return
	}
	for _, other := range k.instances {
		if other.iface == in.iface && other.routerID == in.routerID && other.addresses[0].Is4() == in.addresses[0].Is4() {
			k.doc.note(in.table, Wrong, n.at, "%s and %s have virtual_router_id %d on %s, and hear each other: this one is left out, give it a number of its own", other.name, in.name, in.routerID, in.iface)
			k.drop(in)
			return
		}
	}
	if group := k.groups[n.word(1)]; group != "" {
		in.vrrp.set(n.at, "sync_group", group)
	}
	k.instances = append(k.instances, in)
	k.notifiers(n, []string{in.name})
}

// drop takes an instance's tables out of the document; what was noted stays.
func (k *keepalived) drop(in *instance) {
	k.doc.head = append(k.doc.head, in.table.notes...)
	k.doc.head = append(k.doc.head, in.vrrp.notes...)
	k.doc.tables = slices.DeleteFunc(k.doc.tables, func(t *table) bool { return t == in.table || t == in.vrrp })
}

// A vrrpReader reads the directives of one instance.
type vrrpReader struct {
	k         *keepalived
	in        *instance
	version   int
	versionAt Origin
	addresses []string
	addressAt Origin
	// excluded are addresses that the source does not advertise.
	excluded   []string
	excludedAt Origin
	preempt    bool
	preemptAt  Origin
	delay      node
	master     node
	auth       node
	track      []item
	trackAt    Origin
	peers      []string
	peersAt    Origin
}

// lostInstance are directives of vrrp_instance without a counterpart.
var lostInstance = map[string]string{
	"use_vmac":                   "the interface's own hardware address is used, and neighbours are told",
	"use_vmac_addr":              "the interface's own hardware address is used, and neighbours are told",
	"vmac_xmit_base":             "the interface's own hardware address is used, and neighbours are told",
	"use_ipvlan":                 "the interface's own hardware address is used, and neighbours are told",
	"mcast_src_ip":               "the interface's first address is the source",
	"unicast_src_ip":             "the interface's first address is the source",
	"native_ipv6":                "the family of the first address is spoken",
	"virtual_routes":             "set routes in the system's network configuration, or by [[notify]] kind = \"exec\"",
	"virtual_rules":              "set rules in the system's network configuration, or by [[notify]] kind = \"exec\"",
	"track_bfd":                  "BFD is spoken beside BGP alone",
	"accept":                     "addresses always answer",
	"no_accept":                  "addresses always answer",
	"debug":                      "level in [log]",
	"dont_track_primary":         "an interface that is down is a fault always",
	"track_src_ip":               "an interface without its address is a fault always",
	"skip_check_adv_addr":        "adverts with other addresses are counted, and taken",
	"check_unicast_src":          "unicast comes from peers alone",
	"unicast_fault_no_peer":      "peers are named",
	"linkbeat_use_polling":       "the kernel tells of links",
	"promote_secondaries":        "each address stands by itself",
	"old_unicast_checksum":       "both checksums are accepted",
	"notify_priority_changes":    "`portico status` says the priority",
	"notify_deleted":             "a reload that removes a group is in the journal",
	"notify_master_rx_lower_pri": "metrics count what is heard",
	"kernel_rx_buf_size":         "the socket's buffer holds what comes",
	"garp_group":                 "announcements are paced by portico itself",
	"timer_expired_backup":       "a director that was stalled gives way always",
	"down_timer_adverts":         "an Active is missed after three adverts",
	"auth_hmac":                  "hmac_key_file in [vip.vrrp]: put the key there by hand",
}

func (v *vrrpReader) directive(d node) {
	k, in := v.k, v.in
	switch name := d.name(); name {
	case "state":
		if strings.EqualFold(d.word(1), "MASTER") {
			v.master = d
		}
	case "interface":
		in.iface = d.word(1)
		in.table.set(d.at, "interface", d.word(1))
	case "virtual_router_id":
		in.routerID, _ = number(d.word(1), 1, 255)
		in.vrrp.set(d.at, "router_id", raw(onlyNumber(d.word(1))))
	case "priority":
		in.vrrp.set(d.at, "priority", raw(onlyNumber(d.word(1))))
	case "advert_int":
		if s, err := strconv.ParseFloat(d.word(1), 64); err == nil && s > 0 && s < 1e6 {
			in.vrrp.set(d.at, "advert_interval", duration(s))
		}
	case "version", "vrrp_version":
		if d.word(1) == "2" || d.word(1) == "3" {
			v.version, v.versionAt = int(d.word(1)[0]-'0'), d.at
		}
	case "nopreempt":
		v.preempt, v.preemptAt = false, d.at
	case "preempt":
		v.preempt, v.preemptAt = true, d.at
	case "preempt_delay":
		v.delay = d
	case "authentication":
		v.auth = d
	case "virtual_ipaddress", "virtual_ipaddress_excluded":
		v.virtual(d)
	case "unicast_peer":
		for _, p := range d.body {
			v.peers = append(v.peers, p.word(0))
			if len(p.words) > 1 {
				k.doc.note(in.table, Lost, p.at, "%s of a peer: unicast_min_ttl is of the group", strings.Join(p.words[1:], " "))
			}
		}
		v.peersAt = d.at
	case "unicast_ttl":
		in.vrrp.set(d.at, "unicast_ttl", raw(onlyNumber(d.word(1))))
	case "v3_checksum_as_v2":
		in.vrrp.set(d.at, "v3_checksum", "plain")
	case "track_interface", "track_script", "track_process", "track_file":
		v.tracked(d)
	case "lvs_sync_daemon_interface", "lvs_sync_daemon_inteface":
		if d.word(1) != "" {
			t := k.doc.once("[l4.sync]", d.at)
			t.set(d.at, "id", max(in.routerID, 1))
			t.set(d.at, "interface", d.word(1))
		}
	case "strict_mode":
		if d.word(1) != "off" && d.word(1) != "false" {
			k.doc.note(in.table, Wrong, d.at, "strict_mode has the firewall drop whatever goes to the addresses but VRRP: it is left out")
		}
	case "notify", "notify_master", "notify_backup", "notify_fault", "notify_stop", "smtp_alert":
	default:
		v.lost(d)
	}
}

func (v *vrrpReader) lost(d node) {
	why, known := lostInstance[d.name()]
	if !known {
		why, known = lostFamily(d.name())
	}
	if !known {
		why, known = lostFamily("vrrp_" + d.name())
	}
	if !known {
		v.k.doc.note(v.in.table, Wrong, d.at, "%s is no directive of a vrrp_instance", d.name())
		return
	}
	v.k.doc.note(v.in.table, Lost, d.at, "%s: %s", d.name(), why)
}

// onlyNumber is a whole number, or 0 where the source has none: then the
// checker complains of it.
func onlyNumber(s string) string {
	n, err := strconv.Atoi(s)
	if err != nil {
		return "0"
	}
	return strconv.Itoa(n)
}

// virtual reads the lines of virtual_ipaddress, and of
// virtual_ipaddress_excluded.
func (v *vrrpReader) virtual(d node) {
	list, at := &v.addresses, &v.addressAt
	if d.name() == "virtual_ipaddress_excluded" {
		list, at = &v.excluded, &v.excludedAt
	}
	*at = d.at
	lines := d.body
	if len(d.words) > 1 {
		lines = append([]node{{words: d.words[1:], at: d.at}}, lines...)
	}
	for _, l := range lines {
		text := l.word(0)
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, bad := netip.ParseAddr(text)
			if bad != nil || a.Zone() != "" {
				v.k.doc.note(v.in.table, Wrong, l.at, "%s is no address", text)
				continue
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if slices.Contains(v.in.addresses, p.Addr()) {
			continue
		}
		v.in.addresses = append(v.in.addresses, p.Addr())
		*list = append(*list, text)
		for i := 1; i+1 < len(l.words); i += 2 {
			switch word, arg := l.words[i], l.words[i+1]; word {
			case "dev":
				if v.in.iface != "" && arg != v.in.iface {
					v.k.doc.note(v.in.table, Changed, l.at, "%s stands on %s in the source: all addresses of a group are on its interface, make a [[vip]] of its own for it", text, arg)
				}
			case "label", "scope", "brd", "broadcast", "peer", "mask":
			default:
				v.k.doc.note(v.in.table, Lost, l.at, "%s %s of %s", word, arg, text)
			}
		}
	}
}

// tracked reads the lines of track_interface and its like.
func (v *vrrpReader) tracked(d node) {
	lines := d.body
	if len(d.words) > 1 {
		lines = append([]node{{words: d.words[1:], at: d.at}}, lines...)
	}
	for _, l := range lines {
		rule := v.k.rule(v.in.table, d.name(), l)
		if rule != "" && !slices.ContainsFunc(v.track, func(o item) bool { return o.value == rule }) {
			v.track = append(v.track, item{rule, l.at})
			v.trackAt = d.at
		}
	}
}

// finish writes what depends on more than one directive.
func (v *vrrpReader) finish(n node) {
	k, in := v.k, v.in
	v.allAddresses()
	if len(in.addresses) > 0 && !in.addresses[0].Is4() {
		v.version = 3 // there is no other over IPv6
	}
	in.vrrp.set(v.versionAt, "version", v.version)
	if !in.vrrp.has("router_id") || in.routerID == 0 {
		for in.routerID = 51; slices.ContainsFunc(k.instances, func(o *instance) bool { return o.routerID == in.routerID }); in.routerID++ {
		}
		k.doc.note(in.table, Wrong, n.at, "instance %s has no virtual_router_id from 1 to 255: %d is put in its place", n.word(1), in.routerID)
		in.vrrp.set(n.at, "router_id", in.routerID)
	}
	v.preemption(n)
	if len(v.peers) > 0 {
		in.vrrp.set(v.peersAt, "peers", v.peers)
	}
	if len(v.track) > 0 {
		in.vrrp.set(v.trackAt, "track", v.track)
	}
	if v.version == 2 {
		k.doc.note(in.table, Changed, v.versionAt, "version 2 is what keepalived speaks by default: write 3 once no keepalived is left in the group")
	}
	v.authentication()
}

// allAddresses writes the group's, those that were advertised first: their
// family is the one that is spoken, and whose addresses are advertised here.
func (v *vrrpReader) allAddresses() {
	in := v.in
	in.addresses = nil
	var unheard []string
	for i, text := range slices.Concat(v.addresses, v.excluded) {
		host, _, _ := strings.Cut(text, "/")
		a := netip.MustParseAddr(host) // as it was when it was listed
		in.addresses = append(in.addresses, a)
		if i >= len(v.addresses) && a.Is4() == in.addresses[0].Is4() {
			unheard = append(unheard, text)
		}
	}
	if len(in.addresses) == 0 {
		return
	}
	at := v.addressAt
	if at == (Origin{}) {
		at = v.excludedAt
	}
	in.table.set(at, "addresses", slices.Concat(v.addresses, v.excluded))
	if len(unheard) > 0 {
		v.k.doc.note(in.table, Todo, v.excludedAt, "virtual_ipaddress_excluded: %s is advertised here with the others. A keepalived refuses adverts with other addresses than those of its virtual_ipaddress, and both would own the group: move it there on every node that still runs keepalived, before portico starts", strings.Join(unheard, ", "))
	}
}

// preemption: the source's default is to preempt, portico's is not.
func (v *vrrpReader) preemption(n node) {
	k, in := v.k, v.in
	at := v.preemptAt
	if at == (Origin{}) {
		at = n.at
	}
	switch {
	case v.master.words != nil && !v.preempt:
		k.doc.note(in.table, Wrong, v.preemptAt, "keepalived ignores nopreempt beside state MASTER, and preempts: here it is obeyed")
	case v.master.words != nil:
		k.doc.note(in.table, Changed, v.master.at, "state MASTER has a node claim the address before it has listened; where two nodes have it both do for a moment: every node starts as Backup here, and priority decides")
	}
	in.vrrp.set(at, "preempt", v.preempt)
	if v.delay.words == nil {
		return
	}
	if !v.preempt {
		k.doc.note(in.table, Wrong, v.delay.at, "preempt_delay does nothing beside nopreempt: it is left out")
		return
	}
	if s, err := strconv.ParseFloat(v.delay.word(1), 64); err == nil && s >= 0 && s < 1e6 {
		in.vrrp.set(v.delay.at, "preempt_delay", duration(s))
	}
}

// authentication writes the password of version 2 to a file of its own, or,
// where nothing may be written, leaves it out.
func (v *vrrpReader) authentication() {
	k, in := v.k, v.in
	kind, _ := v.auth.first("auth_type")
	pass, has := v.auth.first("auth_pass")
	switch {
	case v.auth.words == nil:
	case strings.EqualFold(kind.word(1), "AH"):
		k.doc.note(in.table, Lost, kind.at, "auth_type AH: hmac_key_file of version 3 signs adverts")
	case !has:
		k.doc.note(in.table, Wrong, v.auth.at, "authentication without auth_pass")
	case v.version == 3:
		k.doc.note(in.table, Wrong, pass.at, "version 3 has no auth_pass (RFC 9568, section 9): it was ignored, and is left out; hmac_key_file signs adverts")
	default:
		password := pass.word(1)
		if len(password) > 8 {
			k.doc.note(in.table, Wrong, pass.at, "auth_pass has more than 8 characters, of which the first 8 were sent")
			password = password[:8]
		}
		k.doc.note(in.table, Changed, pass.at, "the password travels in clear, and whoever sees it can take the address: it is there for nodes that still have keepalived")
		name := filepath.Join(k.folder, in.name+".password")
		if k.folder == "" {
			k.doc.note(in.table, Todo, pass.at, "the password is left out, for nothing but this text is written: use -o, or write it to a file of mode 0640 and group portico and name that as password_file")
			return
		}
		*k.secrets = append(*k.secrets, Secret{Path: name, Data: password + "\n"})
		in.vrrp.set(pass.at, "password_file", name)
	}
}
