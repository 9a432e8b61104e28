package vip_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
)

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
