package vip_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
)

// TestAdoption kills the owner and starts it again within the others' down
// interval: its addresses stay up all the time and nobody takes over.
func TestAdoption(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	second := section(150, interval("1s"))
	a.start(second)
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(200, interval("1s")))
	b.eventually("Backup that heard the Active", func() bool { return b.group().Active == "192.0.2.1" })

	monitor := a.Start("ip", "-o", "monitor", "address")
	a.proc.Kill()
	a.start(second)
	if g := a.group(); !g.Owned || !g.Adopting || g.State == "Active" {
		t.Errorf("after the restart: %+v", g)
	}
	a.eventually("Active", a.is("Active", vip4+"/32"))
	if g := a.group(); g.Reason != "still held the addresses after a restart" {
		t.Errorf("Active because %q", g.Reason)
	}
	if log := monitor.Log(); strings.Contains(log, vip4) {
		t.Errorf("the address changed:\n%s", log)
	}
	if g := b.group(); g.State != "Backup" || g.Transitions != 1 {
		t.Errorf("the other node: %+v", g)
	}
}

// TestPutBack removes the address behind the Manager's back.
func TestPutBack(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	a.start(section(150, func(s *vip.Section) { s.Addresses = append(s.Addresses, vip6) }))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	for _, where := range []string{"lo " + vip4 + "/32", "eth0 " + vip4 + "/32", "lo " + vip6 + "/128", "eth0 " + vip6 + "/128"} {
		dev, address, _ := strings.Cut(where, " ")
		a.eventually("has "+where, func() bool { return a.shows(dev, address) })
		a.DelAddr(dev, address)
		if d := a.eventually("has "+where+" again", func() bool { return a.shows(dev, address) }); d > time.Second {
			t.Errorf("%s came back after %v", where, d)
		}
	}
	if g := a.group(); g.State != "Active" || g.Transitions != 2 {
		t.Errorf("not a quiet repair: %+v", g)
	}
}

// TestTakesOverTentative: an address that another tool put up, and that
// duplicate address detection found on the link, serves all the same.
func TestTakesOverTentative(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	other := l.Node("other")
	other.Attach(lan, "eth0", vip6+"/64")
	a.Sysctl("net.ipv6.conf.eth0.accept_dad", "1")
	a.Output("ip", "addr", "add", vip6+"/128", "dev", "eth0")
	flags := func(f string) func() bool {
		return func() bool { return strings.Contains(a.Output("ip", "-o", "addr", "show", "dev", "eth0"), f) }
	}
	a.eventually("failed", flags("dadfailed"))
	a.start(vip.Section{Name: "s", Addresses: []string{vip6}, Owner: "static"})
	a.eventually("serving", func() bool { return a.shows("eth0", vip6+"/128") && !flags("dadfailed")() && !flags("tentative")() })
}

// TestConnectionOutlivesRelease: a connection to the address on this very node
// goes on when the node stops owning it, and when it owns it again.
func TestConnectionOutlivesRelease(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	echo := a.Listen("tcp", vip4+":7")
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := a.DialContext(t.Context(), "tcp", vip4+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	says := func(word string) {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := io.WriteString(c, word); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len(word))); err != nil {
			t.Fatalf("%s: %v", word, err)
		}
	}
	says("owned")
	if err := a.proc.Stop(); err != nil {
		t.Fatal(err)
	}
	if a.shows("eth0", vip4+"/32") {
		t.Fatal("still on eth0")
	}
	says("released")
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	says("owned again")
}

// TestReload changes what it should and nothing else.
func TestReload(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	edge := section(150)
	other := vip.Section{Name: "other", Addresses: []string{"192.0.2.101"}, Owner: "static"}
	a.start(edge)
	a.eventually("Active", a.is("Active", vip4+"/32"))
	before := a.group()

	edge.VRRP.Priority, edge.Addresses = num(120), []string{vip4, "192.0.2.102/24"}
	a.configure(edge, other)
	a.eventually("reloaded", func() bool {
		return a.shows("eth0", "192.0.2.101/32") && a.shows("eth0", "192.0.2.102/24") && a.shows("lo", "192.0.2.102/32")
	})
	if g := a.group(); g.Transitions != before.Transitions || !g.Since.Equal(before.Since) || g.Sent < before.Sent {
		t.Errorf("the untouched router was disturbed: %+v, before %+v", g, before)
	}

	// Another router: same address, which stays up throughout.
	monitor := a.Start("ip", "-o", "monitor", "address")
	edge.VRRP.RouterID, edge.Addresses = num(52), []string{vip4}
	a.configure(edge)
	a.eventually("reloaded again", func() bool {
		return a.is("Active", vip4+"/32")() && len(a.status().Groups) == 1 && !a.shows("eth0", "192.0.2.101/32") && !a.shows("lo", "192.0.2.102/32")
	})
	if log := monitor.Log(); strings.Contains(log, vip4) {
		t.Errorf("the address changed:\n%s", log)
	}
}

// TestForeignAndStale: what others put up stays; what an earlier process left,
// killed and with another configuration, goes; Flush undoes all.
func TestForeignAndStale(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	a.AddAddr("lo", "198.51.100.7/32")
	a.AddAddr("eth0", "198.51.100.8/32")
	a.Sysctl("net.ipv4.conf.all.arp_announce", "1")
	addresses := func() string { return a.Output("ip", "-4", "-o", "addr") } // the IPv6 link-local one comes when it pleases
	before := addresses()

	static := func(address string) vip.Section {
		return vip.Section{Name: "s", Addresses: []string{address}, Owner: "static"}
	}
	a.start(static("192.0.2.101"))
	a.eventually("owner", func() bool { return a.shows("eth0", "192.0.2.101/32") })
	a.proc.Kill()
	a.start(static("192.0.2.102"))
	a.eventually("owner of the other", func() bool { return a.shows("eth0", "192.0.2.102/32") && !a.shows("eth0", "192.0.2.101/32") })
	for _, address := range []string{"198.51.100.7/32", "198.51.100.8/32"} {
		if dev := map[string]string{"198.51.100.7/32": "lo", "198.51.100.8/32": "eth0"}[address]; !a.shows(dev, address) {
			t.Errorf("foreign %s is gone", address)
		}
	}
	for key, want := range map[string]string{"all/arp_ignore": "1", "all/arp_announce": "2", "eth0/arp_ignore": "1", "eth0/arp_announce": "2"} {
		if got := a.GetSysctl("net/ipv4/conf/" + key); got != want {
			t.Errorf("%s = %s, want %s", key, got, want)
		}
	}
	if err := a.proc.Stop(); err != nil {
		t.Fatal(err)
	}
	if !a.shows("eth0", "192.0.2.102/32") {
		t.Error("a static address left with the process")
	}

	var err error
	a.Do(func() {
		err = vip.Flush(vip.Options{Log: slog.New(slog.DiscardHandler), StateDir: a.Dir() + "/state"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := addresses(); after != before {
		t.Errorf("after flush\n%s, before all\n%s", after, before)
	}
	for key, want := range map[string]string{"all/arp_ignore": "0", "all/arp_announce": "1", "eth0/arp_ignore": "0", "eth0/arp_announce": "0"} {
		if got := a.GetSysctl("net/ipv4/conf/" + key); got != want {
			t.Errorf("flushed %s = %s, want %s", key, got, want)
		}
	}
}

// TestSyncOrder: the services are brought in step when a new address is up
// already, and when an old one is not yet down.
func TestSyncOrder(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	if err := a.proc.Stop(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(a.Dir() + "/sync")
	if err != nil {
		t.Fatal(err)
	}
	seen := strings.Split(strings.TrimSuffix(string(b), "---\n"), "---\n")
	if len(seen) != 2 {
		t.Fatalf("%d calls, want 2:\n%s", len(seen), b)
	}
	for i, s := range seen {
		if !strings.Contains(s, "eth0    inet "+vip4+"/32") {
			t.Errorf("call %d without the address on eth0:\n%s", i, s)
		}
	}
}

// TestAnnouncements looks from another machine: five requests and replies, and
// five Neighbor Advertisements, with the interface's own link address.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24")
	c := client.Capture("eth0", "arp or (icmp6 and ip6[40] == 136)")
	a.start(section(150, func(s *vip.Section) { s.Addresses = append(s.Addresses, vip6) }))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	mac := strings.TrimSpace(a.Output("cat", "/sys/class/net/eth0/address"))
	patterns := []string{"Request who-has " + vip4 + " (", "Reply " + vip4 + " is-at " + mac, "tgt is " + vip6}
	count := func(p string) (n int) {
		for _, line := range c.Lines() {
			if strings.HasPrefix(line, mac) && strings.Contains(line, p) {
				n++
			}
		}
		return n
	}
	for _, p := range patterns {
		a.eventually(p, func() bool { return count(p) >= 5 })
		if n := count(p); n != 5 {
			t.Errorf("%d times %q, want 5", n, p)
		}
	}
	a.eventually("second burst", func() bool { return count(patterns[0]) == 10 })
	if t.Failed() {
		t.Log(strings.Join(c.Lines(), "\n"))
	}
}

// TestSilentBackup: who does not own the address answers neither ARP nor
// neighbour solicitations for it, though it stands on lo.
func TestSilentBackup(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	both := func(s *vip.Section) { s.Addresses = append(s.Addresses, vip6) }
	a.start(section(150, both))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(100, both))
	b.eventually("Backup", b.is("Backup", vip4+"/32"))
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24", "2001:db8::200/64")
	c := client.Capture("eth0", "arp[6:2] == 2 or (icmp6 and ip6[40] == 136)")
	owner := strings.TrimSpace(a.Output("cat", "/sys/class/net/eth0/address"))
	for range 5 {
		client.Output("ip", "neigh", "flush", "all")
		for _, address := range []string{vip4, vip6} {
			conn, err := client.DialContext(t.Context(), "udp", net.JoinHostPort(address, "9"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte("x"))
			conn.Close()
			lab.Eventually(t, 5*time.Second, "neighbour entry of "+address, func() error {
				if have := client.Output("ip", "neigh", "show", address); !strings.Contains(have, owner) {
					return fmt.Errorf("%s", have)
				}
				return nil
			})
		}
	}
	for _, line := range c.Stop() {
		if strings.Contains(line, vip4) && !strings.Contains(line, vip4+" is-at "+owner) ||
			strings.Contains(line, vip6) && !strings.HasPrefix(line, owner) {
			t.Errorf("somebody else answered: %s", line)
		}
	}
}

// TestAddressChanges gives the Active another address of its own: it speaks
// on from there. Without any it cannot speak, and leaves the field.
func TestAddressChanges(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(100))
	b.eventually("Backup that follows", func() bool { return b.group().Active == "192.0.2.1" })
	a.Sysctl("net.ipv4.conf.all.promote_secondaries", "1")
	passes := func() { // a socket that is no second old is not given up
		t.Helper()
		begin := time.Now()
		a.eventually("a second older", func() bool { return time.Since(begin) > time.Second })
	}
	passes()
	a.AddAddr("eth0", "192.0.2.7/24")
	a.DelAddr("eth0", "192.0.2.1/24")
	b.eventually("following the new address", func() bool { return b.group().Active == "192.0.2.7" })
	if g := b.group(); g.State != "Backup" || g.Transitions != 1 {
		t.Errorf("the Backup was disturbed: %+v", g)
	}
	passes()
	a.DelAddr("eth0", "192.0.2.7/24")
	b.eventually("Active", b.is("Active", vip4+"/32"))
	a.eventually("out of the way", a.is("Fault", vip4+"/32"))
	if e := a.group().LastError; !strings.HasPrefix(e, "interface eth0 has no IPv4 address of its own") {
		t.Errorf("last error %q", e)
	}
}

// TestWays speaks VRRP in each way there is, between two of our own.
func TestWays(t *testing.T) {
	t.Parallel()
	keyFile := t.TempDir() + "/keys"
	if err := os.WriteFile(keyFile, []byte("1 hex:"+strings.Repeat("5a", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(s *vip.Section, peer string)
		wants  []string
	}{
		{"version 2", func(s *vip.Section, _ string) { s.VRRP.Version, s.VRRP.AdvertInterval = num(2), "1s" }, []string{vip4 + "/32"}},
		{"adverts every 10 ms", func(s *vip.Section, _ string) { s.VRRP.AdvertInterval = "10ms" }, []string{vip4 + "/32"}},
		{"IPv4 unicast", func(s *vip.Section, peer string) { s.VRRP.Peers = []string{"192.0.2." + peer} }, []string{vip4 + "/32"}},
		{"IPv6", func(s *vip.Section, _ string) { s.Addresses = []string{"fe80::100", vip6 + "/64"} }, []string{vip6 + "/64", "fe80::100/128"}},
		{"IPv6 unicast", func(s *vip.Section, peer string) {
			s.Addresses, s.VRRP.Peers = []string{vip6}, []string{"2001:db8::" + peer}
		}, []string{vip6 + "/128"}},
		{"checksum without pseudo-header at one of them", func(s *vip.Section, peer string) {
			if peer == "2" {
				s.VRRP.V3Checksum = "plain"
			}
		}, []string{vip4 + "/32"}},
		{"HMAC", func(s *vip.Section, _ string) { s.VRRP.HMACKeyFile = keyFile }, []string{vip4 + "/32"}},
		{"HMAC, IPv6 unicast", func(s *vip.Section, peer string) {
			s.Addresses, s.VRRP.Peers, s.VRRP.HMACKeyFile = []string{vip6}, []string{"2001:db8::" + peer}, keyFile
		}, []string{vip6 + "/128"}},
		{"both families", func(s *vip.Section, _ string) { s.Addresses = []string{vip4, vip6} }, []string{vip4 + "/32", vip6 + "/128"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, nodes := newNodes(t, 2)
			a, b := nodes[0], nodes[1]
			owns := func(n *node, want bool) func() bool {
				return func() bool {
					for _, w := range tt.wants {
						if n.shows("eth0", w) != want {
							return false
						}
					}
					return n.group().Owned == want
				}
			}
			a.start(section(150, func(s *vip.Section) { tt.change(s, "2") }))
			a.eventually("owner", owns(a, true))
			b.start(section(100, func(s *vip.Section) { tt.change(s, "1") }))
			b.eventually("Backup that follows", func() bool { return b.group().Received > 2 })
			b.eventually("without addresses", owns(b, false))
			if err := a.proc.Stop(); err != nil {
				t.Error(err)
			}
			b.eventually("owner", owns(b, true))
			a.eventually("without addresses", func() bool { return !a.shows("eth0", tt.wants[0]) })
			// Busy, it may have distrusted itself since.
			if h := b.group().History; !slices.ContainsFunc(h, func(x vip.Transition) bool { return x.Reason == "the Active resigned" }) {
				t.Errorf("Active because %+v", h)
			}
		})
	}
}

// TestActiveActive has two groups on one interface, of which each node prefers
// one: each owns its own, and both when the other is gone.
func TestActiveActive(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	const vipB = "192.0.2.101"
	groups := func(first, second int) []vip.Section {
		preempt := func(s *vip.Section) { s.VRRP.Preempt = true }
		return []vip.Section{section(first, preempt), section(second, preempt, func(s *vip.Section) {
			s.Name, s.Addresses, s.VRRP.RouterID = "second", []string{vipB}, num(52)
		})}
	}
	owns := func(n *node, one, two bool) func() bool {
		return func() bool { return n.shows("eth0", vip4+"/32") == one && n.shows("eth0", vipB+"/32") == two }
	}
	a.start(groups(150, 100)...)
	a.eventually("owner of both", owns(a, true, true))
	b.start(groups(100, 150)...)
	b.eventually("owner of the second", owns(b, false, true))
	a.eventually("owner of the first", owns(a, true, false))
	a.eventually("hearing the other group's adverts", func() bool { return a.status().Groups[1].Received > 3 })
	if d := a.group().Dropped; len(d) != 0 {
		t.Errorf("dropped %v, but the other group's are no concern of this one", d)
	}
	b.proc.Kill()
	a.eventually("owner of both", owns(a, true, true))
}

// TestSyncGroupLinks moves the groups of two interfaces together, though the link of
// only one of them fails.
func TestSyncGroupLinks(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	wan := l.Network("wan")
	for i, n := range nodes {
		n.Attach(wan, "eth1", fmt.Sprintf("198.51.100.%d/24", i+1))
	}
	const outer = "198.51.100.100"
	groups := func(priority int) []vip.Section {
		in := func(s *vip.Section) { s.VRRP.SyncGroup = "both" }
		return []vip.Section{section(priority, in), section(priority, in, func(s *vip.Section) {
			s.Name, s.Interface, s.Addresses = "outer", "eth1", []string{outer}
		})}
	}
	owns := func(n *node, want bool) func() bool {
		return func() bool { return n.shows("eth0", vip4+"/32") == want && n.shows("eth1", outer+"/32") == want }
	}
	a.start(groups(150)...)
	a.eventually("owner of both", owns(a, true))
	b.start(groups(100)...)
	b.eventually("Backup that follows", func() bool { return b.group().Active == "192.0.2.1" })
	lan.Unplug(a.Node)
	took := b.eventually("owner of both", owns(b, true))
	a.eventually("owner of none", owns(a, false))
	t.Logf("both moved after %v", took)
	if g := a.status().Groups[1]; g.State != "Fault" || !strings.HasPrefix(g.Reason, "sync group both: group edge: ") {
		t.Errorf("the group of the sound link: %+v", g)
	}
	lan.Plug(a.Node)
	a.eventually("Backup", func() bool {
		gs := a.status().Groups
		return gs[0].State == "Backup" && gs[1].State == "Backup" && owns(a, false)()
	})
	if err := b.proc.Stop(); err != nil {
		t.Error(err)
	}
	a.eventually("owner of both", owns(a, true))
}

// TestStalled stops the owner's process for longer than the others wait: it
// finds that it was succeeded, and neither speaks against its successor nor
// announces what it had planned to.
func TestStalled(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24")
	a.start(section(150, interval("500ms")))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(100, interval("500ms")))
	b.eventually("Backup that follows", func() bool { return b.group().Active == "192.0.2.1" })
	claims := client.Capture("eth0", "arp[6:2] == 2 and ether broadcast or vrrp")
	from := func(n *node, text string) (count int) {
		for _, line := range claims.Lines() {
			if strings.HasPrefix(line, mac(n.Node, "eth0")) && strings.Contains(line, text) {
				count++
			}
		}
		return count
	}
	a.proc.Signal(syscall.SIGSTOP)
	b.eventually("Active", b.is("Active", vip4+"/32"))
	b.eventually("second burst, with that of the other overdue", func() bool { return from(b, vip4+" is-at") >= 10 })
	before := from(a, "")
	a.proc.Signal(syscall.SIGCONT)
	a.eventually("Backup", a.is("Backup", vip4+"/32"))
	if g := a.group(); g.Active != "192.0.2.2" || g.Reason != "another took over in the meantime" {
		t.Errorf("the stalled node: %+v", g)
	}
	if g := b.group(); g.State != "Active" || g.Transitions != 2 {
		t.Errorf("its successor: %+v", g)
	}
	if after := from(a, ""); after != before {
		t.Errorf("the stalled node sent %d packets:\n%s", after-before, strings.Join(claims.Lines(), "\n"))
	}
}

// TestBadInput counts what strangers send and is moved by none of it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	stranger := l.Node("stranger")
	stranger.Attach(lan, "eth0", "192.0.2.66/24")
	send := func(ttl int, b []byte) {
		t.Helper()
		var err error
		stranger.Do(func() {
			var c net.PacketConn
			if c, err = net.ListenPacket("ip4:112", "192.0.2.66"); err != nil {
				return
			}
			defer c.Close()
			raw, _ := c.(*net.IPConn).SyscallConn()
			_ = raw.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MULTICAST_TTL, ttl)
			})
			_, err = c.WriteTo(b, &net.IPAddr{IP: net.IPv4(224, 0, 0, 18)})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stranger.Route("224.0.0.0/4", "192.0.2.1")
	send(255, []byte{0x31, 51, 255})
	send(255, []byte{0x31, 51, 255, 9, 0, 100, 0, 0, 1, 2, 3, 4})
	send(255, []byte{0x31, 51, 255, 1, 0, 100, 0, 0, 1, 2, 3, 4})
	send(255, []byte{0x91, 51, 255, 1, 0, 100, 0, 0, 1, 2, 3, 4})
	send(255, []byte{0x31, 77, 255, 1, 0, 100, 0, 0, 1, 2, 3, 4})
	send(1, []byte{0x31, 51, 255, 1, 0, 100, 0, 0, 1, 2, 3, 4})
	want := map[string]int{"length": 2, "checksum": 1, "version": 1, "vrid": 1, "ttl": 1}
	a.eventually("counted", func() bool { return fmt.Sprint(a.group().Dropped) == fmt.Sprint(want) })
	if g := a.group(); g.State != "Active" || g.Received != 0 {
		t.Errorf("moved by it: %+v", g)
	}
}

// TestMissing: what is missing is named with its cure, and taken when it comes.
func TestMissing(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	lan := l.Network("lan")
	a := &node{Node: l.Node("n1"), t: t}
	a.start(section(150))
	a.eventually("told", func() bool {
		return a.group().LastError == "interface eth0 does not exist: create it or name another"
	})
	if !a.shows("lo", vip4+"/32") {
		t.Error("the address is not on lo")
	}
	a.Attach(lan, "eth0")
	a.eventually("told of the address", func() bool {
		return a.group().LastError == "interface eth0 has no IPv4 address of its own: give it one to send VRRP from"
	})
	a.AddAddr("eth0", "192.0.2.1/24")
	a.eventually("Active", a.is("Active", vip4+"/32"))
	if s := a.status(); s.LastError != "" || s.Groups[0].LastError != "" {
		t.Errorf("errors stay: %+v", s)
	}
	if err := a.proc.Stop(); err != nil {
		t.Fatal(err)
	}

	for _, capability := range []string{"net_admin", "net_raw"} {
		cmd := a.Command("setpriv", "--bounding-set", "-"+capability, "--inh-caps", "-"+capability, os.Args[0])
		cmd.Env = append(os.Environ(), nodeEnv+"="+a.Dir())
		a.proc = cmd.Spawn()
		a.eventually("told of "+capability, func() bool { return strings.Contains(a.proc.Log(), "CAP_"+strings.ToUpper(capability)) })
		if err := a.proc.Stop(); capability == "net_admin" && err == nil {
			t.Error("went on without CAP_NET_ADMIN")
		}
	}
}

// TestSuspended: an Active that was stopped for long and continues is talked
// out of it by its successor, at once.
func TestSuspended(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	a.start(section(100))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(150))
	b.eventually("Backup", b.is("Backup", vip4+"/32"))
	a.proc.Signal(syscall.SIGSTOP)
	b.eventually("Active", b.is("Active", vip4+"/32"))
	a.proc.Signal(syscall.SIGCONT)
	if d := a.eventually("Backup", a.is("Backup", vip4+"/32")); d > time.Second {
		t.Errorf("two owners for %v", d)
	}
	if s := b.group().State; s != "Active" {
		t.Errorf("the successor is %s", s)
	}
}
