package doctor

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/portico-lb/portico/l4"
)

// A linkFact is an interface.
type linkFact struct {
	name, kind string
	mtu        int
	// parent is what its packets travel over; "" where the kernel does not say.
	parent string
}

// overhead is how many bytes an encapsulation adds over IPv4, by the kind of
// its interface. Over IPv6 it is 20 more.
var overhead = map[string]int{"vxlan": 50, "geneve": 50, "ipip": 20, "gre": 24, "wireguard": 60}

// checkMTU: what Pods send fits into what carries it.
func checkMTU(_ context.Context, n *Node) []Finding {
	links, err := netlink.LinkList()
	if err != nil {
		return skip("list interfaces: " + err.Error())
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	var facts []linkFact
	for _, l := range links {
		f := linkFact{name: l.Attrs().Name, kind: l.Type(), mtu: l.Attrs().MTU}
		if v, isVXLAN := l.(*netlink.Vxlan); isVXLAN {
			f.parent = names[v.VtepDevIndex]
		}
		facts = append(facts, f)
	}
	tunnel := ""
	for _, s := range n.Config.L4.Services {
		if s.Forward == l4.Tunnel {
			tunnel = s.Name
		}
	}
	return judgeMTU(facts, n.interfaces(), tunnel)
}

func judgeMTU(links []linkFact, interfaces []string, tunnel string) []Finding {
	mtu := map[string]int{}
	for _, l := range links {
		mtu[l.name] = l.mtu
	}
	var out []Finding
	least := 0
	for _, i := range interfaces {
		switch m, exists := mtu[i]; {
		case !exists:
			out = append(out, fail("interface "+i+" does not exist", "the virtual address has nowhere to stand", "ip link show", "editor /etc/portico/portico.toml   # interface of [[vip]]"))
		case m < 1280:
			out = append(out, fail(fmt.Sprintf("%s has MTU %d", i, m), "IPv6 needs 1280 bytes, and direct routing passes clients' packets on as they are", fmt.Sprintf("ip link set %s mtu 1500", i)))
		case least == 0 || m < least:
			least = m
		}
	}
	for _, l := range links {
		under := mtu[l.parent]
		if under == 0 {
			under = least
		}
		if more := overhead[l.kind]; more > 0 && under > 0 && l.mtu > under-more {
			over := l.parent
			if over == "" {
				over = "the interface below"
			}
			out = append(out, warn(fmt.Sprintf("%s (%s) has MTU %d, and %s leaves %d for it", l.name, l.kind, l.mtu, over, under-more), "long requests and answers of Pods on other nodes are lost or cut in pieces",
				fmt.Sprintf("ip link set %s mtu %d   # and in the network plugin's configuration", l.name, under-more)))
		}
	}
	if tunnel != "" && least > 0 && least < 1520 {
		out = append(out, warn(fmt.Sprintf(`service %s has forward = "tunnel" over MTU %d`, tunnel, least), "clients' long packets do not fit with another header: the director asks them for shorter ones, which some firewalls hide from them",
			fmt.Sprintf("ip link set %s mtu %d   # on all nodes and on the switch, or clamp the MSS on the router", interfaces[0], 1550)))
	}
	if len(interfaces) == 0 && len(out) == 0 {
		return ok("no tunnel is too wide for what carries it")
	}
	return orOK(out, fmt.Sprintf("MTUs fit, %d on the edge's interfaces", least))
}
