package importer

import (
	"net/netip"
	"slices"
)

// renamed is the name that an instance got here.
func (k *keepalived) renamed(name string) string {
	for _, in := range k.instances {
		if in.name == name {
			return in.name
		}
	}
	return name
}

// place says to which [[vip]] a service belongs: that of its address, and for
// an address that no instance has one of its own.
func (k *keepalived) place(t *table, of target) {
	if of.mark != 0 {
		in := k.markOwner(t, of)
		i := slices.IndexFunc(in.addresses, func(a netip.Addr) bool { return a.Is6() == of.v6 })
		if len(in.addresses) == 1 {
			t.set(of.at, "vip", in.name)
		} else {
			t.set(of.at, "address", in.addresses[i].String())
		}
		t.set(of.at, "fwmark", of.mark)
		return
	}
	in := k.owner(of.addr)
	if in == nil {
		in = k.static(t, of)
	}
	if len(in.addresses) == 1 {
		t.set(of.at, "vip", in.name)
	} else {
		t.set(of.at, "address", of.addr.String())
	}
	t.set(of.at, "port", of.port)
}

func (k *keepalived) owner(a netip.Addr) *instance {
	for _, in := range k.instances {
		if slices.Contains(in.addresses, a) {
			return in
		}
	}
	return nil
}

// markOwner is the group whose owner balances the packets with a mark: the
// source does not say, and the first is taken.
func (k *keepalived) markOwner(t *table, of target) *instance {
	for _, in := range k.instances {
		if slices.ContainsFunc(in.addresses, func(a netip.Addr) bool { return a.Is6() == of.v6 }) {
			k.doc.note(t, Todo, of.at, "the rule that marks packets says for which addresses: name their group, %q is put here", in.name)
			return in
		}
	}
	addr := netip.AddrFrom4([4]byte{192, 0, 2, 10}) // of the documentation (RFC 5737, RFC 3849)
	if of.v6 {
		addr = netip.MustParseAddr("2001:db8::10")
	}
	return k.static(t, target{addr: addr, at: of.at})
}

// static makes a group of an address that nothing moves.
func (k *keepalived) static(t *table, of target) *instance {
	in := &instance{name: k.free("static"), addresses: []netip.Addr{of.addr}}
	at := slices.Index(k.doc.tables, t)
	in.table = &table{header: "[[vip]]", at: of.at}
	k.doc.tables = slices.Insert(k.doc.tables, at, in.table)
	in.table.set(of.at, "name", in.name)
	in.table.set(of.at, "addresses", []string{of.addr.String()})
	if k.iface != "" {
		in.table.set(of.at, "interface", k.iface)
	} else if len(k.instances) > 0 && k.instances[0].iface != "" {
		in.iface = k.instances[0].iface
		in.table.set(of.at, "interface", in.iface)
	}
	in.table.set(of.at, "owner", "static")
	k.doc.note(in.table, Todo, of.at, "no vrrp_instance has %s, so that nothing moves it: on every node with this file it would be claimed. Put it into a group of owner = \"vrrp\"", of.addr)
	k.instances = append(k.instances, in)
	return in
}

// direct tells once what direct routing needs no more.
func (k *keepalived) direct(t *table, of target) {
	if k.claimed["/direct"] {
		return
	}
	k.claimed["/direct"] = true
	k.doc.note(t, Changed, of.at, "portico keeps the address on lo of every node, silent to ARP, and programs IPVS on the owner alone: remove what did so (ip addr add ... dev lo, arp_ignore and arp_announce in sysctl.d, notify scripts that run ipvsadm) once keepalived is gone")
}
