package vip_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/neighbor"
	"github.com/portico-lb/portico/vip/vrrp"
)

func bothFamilies(s *vip.Section) { s.Addresses = []string{vip4, vip6} }

// mac is the hardware address of the node's interface.
func mac(n *lab.Node, dev string) string {
	return strings.TrimSpace(n.Output("cat", "/sys/class/net/"+dev+"/address"))
}

// duplicates is the status' list as "address mac, ...".
func (n *node) duplicates() string {
	var s []string
	for _, d := range n.group().Duplicates {
		s = append(s, d.Address+" "+d.MAC)
	}
	return strings.Join(s, ", ")
}

// send sends Ethernet frames.
func send(t *testing.T, n *lab.Node, dev string, frames ...[]byte) {
	t.Helper()
	n.Do(func() {
		ifi, err := net.InterfaceByName(dev)
		if err != nil {
			t.Error(err)
			return
		}
		s, err := neighbor.NewSender()
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		for _, f := range frames {
			if err := s.Send(ifi.Index, f); err != nil {
				t.Error(err)
			}
		}
	})
}

// knows asks for an address once and reports who has it, as the host believes.
func knows(t *testing.T, n *lab.Node, address string) func() string {
	t.Helper()
	conn, err := n.DialContext(t.Context(), "udp", net.JoinHostPort(address, "9"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("x"))
	conn.Close()
	return func() string { return n.Output("ip", "neigh", "show", address) }
}

// TestSilentDuplicates finds hosts that only answer: a backend that has the
// addresses on lo and no arp_ignore, and one that has the IPv6 address too. The
// question gives nobody's traffic to them.
func TestSilentDuplicates(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	leak := l.Node("leak")
	leak.Attach(lan, "eth0", "192.0.2.66/24", vip6+"/64")
	leak.AddAddr("lo", vip4+"/32")
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24", "2001:db8::200/64")

	a.start(section(150, bothFamilies))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(100, bothFamilies))
	owner, other := mac(a.Node, "eth0"), mac(leak, "eth0")
	believes := knows(t, client, vip6)
	send(t, a.Node, "eth0", neighbor.Announcement(claim(t, vip6, owner), false)...)
	a.eventually("believed", func() bool { return strings.Contains(believes(), owner) })
	before := client.Capture("eth0", "icmp6 and ip6[40] == 136")

	want := vip4 + " " + other + ", " + vip6 + " " + other
	if d := a.eventually("duplicates found", func() bool { return a.duplicates() == want }); d > 3*time.Second {
		t.Errorf("found after %v", d)
	}
	for _, text := range []string{"virtual address of this node claimed by another host", "address=" + vip4 + " mac=" + other + " interface=eth0"} {
		if log := a.proc.Log(); strings.Count(log, text) < 1 {
			t.Errorf("not logged: %s\n%s", text, log)
		}
	}
	if log := a.proc.Log(); strings.Count(log, "address="+vip4) != 1 {
		t.Errorf("logged more than once:\n%s", log)
	}
	for _, line := range before.Stop() {
		if strings.HasPrefix(line, other) {
			t.Errorf("the other owner told all: %s", line)
		}
	}
	if g := a.group(); g.State != "Active" || g.Transitions != 2 {
		t.Errorf("ownership moved: %+v", g)
	}

	// The Backup sees the same two, and cannot say which is right.
	b.eventually("several owners found", func() bool {
		d := b.duplicates()
		return strings.Contains(d, vip4+" "+other) && strings.Contains(d, vip4+" "+owner) && len(b.group().Duplicates) == 4
	})
	if log := b.proc.Log(); !strings.Contains(log, "virtual address claimed by several hosts") {
		t.Errorf("not logged:\n%s", log)
	}
}

func claim(t *testing.T, address, mac string) neighbor.Claim {
	t.Helper()
	hw, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	return neighbor.Claim{IP: netip.MustParseAddr(address), MAC: neighbor.MAC(hw)}
}

// TestClaimIsAnswered: a host announces the addresses for its own; the owner
// takes the clients back within a second, and says so once.
func TestClaimIsAnswered(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24", "2001:db8::200/64")
	thief := l.Node("thief")
	thief.Attach(lan, "eth0", "192.0.2.66/24")
	a.start(section(150, bothFamilies))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	owner, other := mac(a.Node, "eth0"), mac(thief, "eth0")
	for _, address := range []string{vip4, vip6} {
		believes := knows(t, client, address)
		a.eventually("believed", func() bool { return strings.Contains(believes(), owner) })
		begin := time.Now()
		a.eventually("out of the burst", func() bool { return time.Since(begin) > 1100*time.Millisecond })

		c := client.Capture("eth0", "arp or (icmp6 and ip6[40] == 136)")
		send(t, thief, "eth0", neighbor.Announcement(claim(t, address, other), false)...)
		c.Wait(address, 5*time.Second)
		a.eventually("believed again", func() bool { return strings.Contains(believes(), owner) })
		a.eventually("shown", func() bool { return strings.Contains(a.duplicates(), address+" "+other) })
		if n := strings.Count(a.proc.Log(), "address="+address+" mac="+other); n != 1 {
			t.Errorf("logged %d times\n%s", n, a.proc.Log())
		}
		c.Stop()
	}
	if g := a.group(); g.State != "Active" || g.Transitions != 2 {
		t.Errorf("ownership moved: %+v", g)
	}
}

// TestQuietNeighbours: what portico's own nodes and honest hosts do is no duplicate.
func TestQuietNeighbours(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	a.Attach(lan, "eth1", "192.0.2.11/24") // a second interface on the same segment
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24", "2001:db8::200/64")
	a.start(section(150, bothFamilies))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(200, bothFamilies, func(s *vip.Section) { s.VRRP.Preempt = true }))
	b.eventually("Active", b.is("Active", vip4+"/32"))
	c := client.Capture("eth0", "arp[6:2] == 1 and arp[14:4] == 0 or (icmp6 and ip6[40] == 135)")
	asked := func() (v4, v6 bool) {
		for _, line := range c.Lines() {
			v4 = v4 || strings.HasPrefix(line, mac(b.Node, "eth0")) && strings.Contains(line, "who-has "+vip4)
			v6 = v6 || strings.HasPrefix(line, mac(b.Node, "eth0")) && strings.Contains(line, "who has "+vip6)
		}
		return v4, v6
	}
	b.eventually("asked", func() bool { v4, v6 := asked(); return v4 && v6 })
	begin := time.Now()
	b.eventually("answers in", func() bool { return time.Since(begin) > 1500*time.Millisecond })
	for _, n := range nodes {
		if d := n.duplicates(); d != "" || strings.Contains(n.proc.Log(), "claimed by") {
			t.Errorf("%s found %s\n%s", n.Name(), d, n.proc.Log())
		}
	}
}

// TestAnnouncedAnew looks for a burst after what makes neighbours forget or
// mistake where the address is, on an interface with a dot in its name as
// VLANs have it.
func TestAnnouncedAnew(t *testing.T) {
	t.Parallel()
	const dev = "eth0.100"
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24", "2001:db8::200/64")
	create := func() {
		a.Output("ip", "link", "add", "link", "eth0", "name", dev, "type", "macvlan")
		a.LinkUp(dev)
	}
	create()
	a.start(vip.Section{Name: "edge", Addresses: []string{vip4, vip6 + "/64"}, Interface: dev, Owner: "static"})

	c := client.Capture("eth0", "arp or (icmp6 and ip6[40] == 136)")
	steps := []struct {
		name string
		do   func()
	}{
		{"new hardware address", func() { a.Output("ip", "link", "set", dev, "address", "02:00:00:00:00:07") }},
		{"down and up", func() { a.LinkDown(dev); a.LinkUp(dev) }},
		{"without carrier for a while", func() {
			lan.Unplug(a.Node)
			// The kernel tells of it up to a second later, and not at all when it was shorter.
			a.eventually("no carrier", func() bool { return !strings.Contains(a.Output("ip", "link", "show", dev), "LOWER_UP") })
			lan.Plug(a.Node)
		}},
		{"created anew", func() { a.Output("ip", "link", "del", dev); create() }},
	}
	for _, s := range steps {
		before := len(c.Lines())
		s.do()
		hw := mac(a.Node, dev)
		for _, p := range []string{"Request who-has " + vip4 + " (", "Reply " + vip4 + " is-at " + hw, "tgt is " + vip6} {
			// In time, and not with the second burst of the step before.
			if d := a.eventually(s.name+": "+p, func() bool {
				n := 0
				for _, line := range c.Lines()[before:] {
					if strings.HasPrefix(line, hw) && strings.Contains(line, p) {
						n++
					}
				}
				return n >= 5
			}); d > 3*time.Second {
				t.Errorf("%s: %s after %v", s.name, p, d)
			}
		}
		a.eventually(s.name+": addresses", func() bool { return a.shows(dev, vip4+"/32") && a.shows(dev, vip6+"/64") })
		believes := knows(t, client, vip6)
		a.eventually(s.name+": reachable", func() bool { return strings.Contains(believes(), hw) })
	}
}

// TestManyAddresses: each of two groups' 64 addresses is announced ten times.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24")
	c := client.Capture("eth0", "arp[6:2] == 2")
	var ss []vip.Section
	for g := range 2 {
		s := vip.Section{Name: fmt.Sprintf("g%d", g), Owner: "static"}
		for i := range 64 {
			s.Addresses = append(s.Addresses, fmt.Sprintf("198.51.%d.%d", 100+g, i+1))
		}
		ss = append(ss, s)
	}
	a.start(ss...)
	count := func() (n int) {
		for _, line := range c.Lines() {
			if strings.Contains(line, "Reply 198.51.") {
				n++
			}
		}
		return n
	}
	a.eventually("announced five times each", func() bool { return count() == 2*64*5 })
	a.eventually("announced ten times each", func() bool { return count() == 2*64*10 })
}

// TestRegainedDuringSync: the group is lost and won back while the services are
// still being brought in step. Its address stays.
func TestRegainedDuringSync(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	stranger := l.Node("stranger")
	stranger.Attach(lan, "eth0", "192.0.2.66/24")
	stranger.Route("224.0.0.0/4", "192.0.2.1")
	a.start(section(100, interval("10ms")))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	if err := os.WriteFile(a.Dir()+"/slow", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	monitor := a.Start("ip", "-o", "monitor", "address")
	before := a.group().Transitions

	src, dst := netip.MustParseAddr("192.0.2.66"), netip.MustParseAddr("224.0.0.18")
	stranger.Do(func() {
		c, err := net.ListenPacket("ip4:112", src.String())
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if err := ipv4.NewPacketConn(c).SetMulticastTTL(255); err != nil {
			t.Error(err)
		}
		b := vrrp.Packet{Version: 3, VRID: 51, Priority: 200, Interval: 10 * time.Millisecond,
			Addrs: []netip.Addr{netip.MustParseAddr(vip4)}}.Append(nil, src, dst)
		if _, err := c.WriteTo(b, &net.IPAddr{IP: dst.AsSlice()}); err != nil {
			t.Error(err)
		}
	})
	a.eventually("lost and won back", func() bool { g := a.group(); return g.State == "Active" && g.Transitions == before+2 })
	lines := func() int { return strings.Count(a.Output("cat", a.Dir()+"/sync"), "---") }
	a.eventually("in step again", func() bool { return lines() >= 3 })
	if log := monitor.Log(); strings.Contains(log, vip4) {
		t.Errorf("the address changed:\n%s", log)
	}
}
