package addr

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Loopback is the interface that carries every virtual address on every node.
const Loopback = "lo"

// Address is an IP address on an interface.
type Address struct {
	Link   string       // interface name
	Prefix netip.Prefix // the address with its length, not masked
}

// String is the address as `ip address add` takes it.
func (a Address) String() string { return fmt.Sprintf("%v dev %s", a.Prefix, a.Link) }

// Found is an address that the kernel has.
type Found struct {
	Address
	Marked bool // carries Mark
	// Unusable says that duplicate address detection goes on, or has failed:
	// another tool put up the IPv6 address, and the kernel does not answer for it.
	Unusable bool
}

// Link is a network interface.
type Link struct {
	Index int
	Up    bool    // administratively up and with carrier
	MAC   [6]byte // zero where it has no Ethernet address
}

// State is what the kernel has.
type State struct {
	Links map[string]Link
	Addrs []Found
}

// Group is a set of virtual addresses that move together.
type Group struct {
	Interface string
	Addrs     []netip.Prefix
	Owned     bool // this node owns them
	// Routed says that a router sends here what is for them, wherever they
	// stand: nobody asks for them on the interface, where they would be in the
	// way of the other owners.
	Routed bool
}

// Holds reports whether an address of the group stands on its interface.
func (s State) Holds(g Group) bool {
	return slices.ContainsFunc(s.Addrs, func(f Found) bool { return f.Link == g.Interface && g.has(f.Prefix.Addr()) })
}

func (g Group) has(ip netip.Addr) bool {
	return slices.ContainsFunc(g.Addrs, func(p netip.Prefix) bool { return p.Addr() == ip })
}

// Want is where the addresses of the groups belong: on lo always and as host
// addresses, since a longer network there would make all of it local; on the
// interface where they are owned and not routed.
func Want(groups []Group) []Address {
	var want []Address
	for _, g := range groups {
		for _, p := range g.Addrs {
			want = append(want, Address{Loopback, netip.PrefixFrom(p.Addr(), p.Addr().BitLen())})
			if g.Owned && !g.Routed {
				want = append(want, Address{g.Interface, p})
			}
		}
	}
	return want
}

// Ours tells the addresses that may be removed: those that carry the mark,
// those remembered from earlier (kernels before 5.18 keep no mark), and those
// that the configuration claims for lo or its interface, whoever put them there.
func Ours(groups []Group, remembered []Address) func(Found) bool {
	return func(f Found) bool {
		return f.Marked || slices.Contains(remembered, f.Address) || slices.ContainsFunc(groups, func(g Group) bool {
			return (f.Link == g.Interface || f.Link == Loopback) && g.has(f.Prefix.Addr())
		})
	}
}

// Op is one change of the kernel's addresses.
type Op struct {
	Add bool // else remove
	Address
}

// String is the op as arguments of `ip address`.
func (o Op) String() string {
	if o.Add {
		return "add " + o.Address.String()
	}
	return "del " + o.Address.String()
}

// Diff returns the ops that lead from have to want, removing only what is
// ours. Additions come first: an address that moves from one interface to the
// other must not vanish in between, or its connections die with it. What is
// unusable is replaced.
func Diff(have []Found, want []Address, ours func(Found) bool) []Op {
	var early, add, del []Op
	for _, f := range have {
		if f.serves(want) || !ours(f) {
			continue
		}
		op := Op{Address: f.Address}
		if f.Prefix.Addr().Is6() && slices.ContainsFunc(want, f.sameIP) {
			// IPv6 takes an address once an interface, whatever its length
			// (net/ipv6/addrconf.c, ipv6_add_addr): this one must go first.
			early = append(early, op)
			continue
		}
		del = append(del, op)
	}
	for _, a := range want {
		if !slices.ContainsFunc(have, func(f Found) bool { return f.Address == a && !f.Unusable }) {
			add = append(add, Op{Add: true, Address: a})
		}
	}
	for _, ops := range [][]Op{early, add, del} {
		slices.SortFunc(ops, func(x, y Op) int {
			return cmp.Or(cmp.Compare(x.Link, y.Link), x.Prefix.Compare(y.Prefix))
		})
	}
	return slices.Concat(early, add, del)
}

// serves reports whether it is wanted just as it is.
func (f Found) serves(want []Address) bool { return !f.Unusable && slices.Contains(want, f.Address) }

func (f Found) sameIP(a Address) bool {
	return a.Link == f.Link && a.Prefix.Addr() == f.Prefix.Addr()
}

// Concerns reports whether the change may be about the group.
func (g Group) Concerns(c Change) bool { return c.Link == g.Interface || g.has(c.Addr) }
