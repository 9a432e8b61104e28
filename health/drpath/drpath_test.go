package drpath_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/health/drpath"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A pair is two network namespaces on one cable: a director and a server.
type pair struct {
	t                *testing.T
	director, server netns.NsHandle
	serverMAC        string
}

var (
	vip4, vip6       = netip.MustParseAddrPort("192.0.2.10:80"), netip.MustParseAddrPort("[2001:db8::10]:80")
	server4, server6 = netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11")
)

func newPair(t *testing.T) *pair {
	if os.Geteuid() != 0 {
		if os.Getenv("PORTICO_LAB") == "1" {
			t.Fatal("network namespaces need root")
		}
		t.Skip("network namespaces need root")
	}
	p := &pair{t: t, director: namespace(t), server: namespace(t)}
	p.in(p.director, func() {
		p.must(netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(p.server),
		}))
		p.up("eth0", "192.0.2.1/24", "2001:db8::1/64")
	})
	p.in(p.server, func() {
		p.up("eth0", "192.0.2.11/24", "2001:db8::11/64")
		p.sysctl("ipv4/conf/all/arp_ignore", "1")
		p.sysctl("ipv4/conf/all/arp_announce", "2")
		l, err := netlink.LinkByName("eth0")
		p.must(err)
		p.serverMAC = l.Attrs().HardwareAddr.String()
	})
	return p
}

// namespace makes a network namespace whose lo is up.
func namespace(t *testing.T) netns.NsHandle {
	t.Helper()
	var ns netns.NsHandle
	var err error
	onThread(func() {
		if ns, err = netns.New(); err == nil {
			var lo netlink.Link
			if lo, err = netlink.LinkByName("lo"); err == nil {
				err = netlink.LinkSetUp(lo)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func onThread(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		fn()
	}()
	<-done
}

func (p *pair) in(ns netns.NsHandle, fn func()) {
	onThread(func() {
		p.must(netns.Set(ns))
		fn()
	})
}

func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
		runtime.Goexit()
	}
}

func (p *pair) up(name string, addrs ...string) {
	l, err := netlink.LinkByName(name)
	p.must(err)
	p.must(netlink.LinkSetUp(l))
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		p.must(err)
		addr.Flags = syscall.IFA_F_NODAD
		p.must(netlink.AddrAdd(l, addr))
		p.settle(addr.IP)
	}
}

// settle waits for the route to an address of this node: that of IPv6 comes
// from a queue of the kernel (addrconf_dad_work), a moment after the address.
func (p *pair) settle(ip net.IP) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Second); ; <-time.After(time.Millisecond) {
		routes, err := netlink.RouteGet(ip)
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s has no route of its own: %v, %v", ip, routes, err)
		}
	}
}

func (p *pair) sysctl(key, value string) {
	p.must(os.WriteFile("/proc/sys/net/"+key, []byte(value), 0))
}

// listen answers connections to addr in the server, or in the namespace given.
func (p *pair) listen(ns netns.NsHandle, addr string) {
	p.in(ns, func() {
		l, err := net.Listen("tcp", addr)
		p.must(err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		p.t.Cleanup(func() { l.Close(); <-done })
	})
}

// probe makes n attempts from the director with one Prober.
func (p *pair) probe(vip netip.AddrPort, server netip.Addr, n int) (err error) {
	prober := drpath.New()
	p.in(p.director, func() {
		for range n {
			ctx, cancel := context.WithTimeout(p.t.Context(), 300*time.Millisecond)
			err = prober.Probe(ctx, vip, server)
			cancel()
		}
	})
	if e := prober.Close(); e != nil {
		p.t.Error(e)
	}
	return err
}

func TestProbe(t *testing.T) {
	wellSet := func(p *pair) {
		p.in(p.server, func() { p.up("lo", "192.0.2.10/32", "2001:db8::10/128") })
		p.listen(p.server, ":80")
	}
	owner := func(p *pair) {
		p.in(p.director, func() { p.up("eth0", "192.0.2.10/32", "2001:db8::10/128") })
	}
	for name, tt := range map[string]struct {
		set          func(p *pair)
		want4, want6 string // MAC stands for the server's MAC address
	}{
		"well set":                     {set: wellSet},
		"well set, asked by the owner": {set: func(p *pair) { wellSet(p); owner(p) }},
		"well set, asked by an owner with prefixes": {set: func(p *pair) {
			wellSet(p)
			p.in(p.director, func() { p.up("eth0", "192.0.2.10/24", "2001:db8::10/64") })
		}},
		"no vip on lo": {
			set:   func(p *pair) { p.listen(p.server, ":80") },
			want4: "no answer: does 192.0.2.10 stand on lo of 192.0.2.11?",
			want6: "no answer: does 2001:db8::10 stand on lo of 2001:db8::11?",
		},
		"nothing listens": {
			set:   func(p *pair) { p.in(p.server, func() { p.up("lo", "192.0.2.10/32", "2001:db8::10/128") }) },
			want4: "refused: nothing listens on 192.0.2.10:80 of 192.0.2.11",
			want6: "refused: nothing listens on [2001:db8::10]:80 of 2001:db8::11",
		},
		"listens on its own address alone": {
			set: func(p *pair) {
				p.in(p.server, func() { p.up("lo", "192.0.2.10/32", "2001:db8::10/128") })
				p.listen(p.server, "192.0.2.11:80")
				p.listen(p.server, "[2001:db8::11]:80")
			},
			want4: "refused: nothing listens on 192.0.2.10:80 of 192.0.2.11",
			want6: "refused: nothing listens on [2001:db8::10]:80 of 2001:db8::11",
		},
		"answers arp": {
			set: func(p *pair) {
				wellSet(p)
				owner(p)
				p.in(p.server, func() {
					p.sysctl("ipv4/conf/all/arp_ignore", "0")
					p.up("eth0", "2001:db8::10/128")
				})
			},
			want4: "192.0.2.11 (MAC) answers ARP for 192.0.2.10: set arp_ignore=1 and arp_announce=2 there",
			want6: "2001:db8::11 (MAC) answers neighbor solicitations for 2001:db8::10: the address belongs on lo there, as /128",
		},
		// An owner balances what it is sent for the address, so that its own one is
		// asked: here the two answer differently.
		"the owner, asked by a backup": {
			set: func(p *pair) {
				p.in(p.server, func() { p.up("eth0", "192.0.2.10/32", "2001:db8::10/128") })
				p.listen(p.server, "192.0.2.11:80")
				p.listen(p.server, "[2001:db8::11]:80")
			},
		},
		"the owner without a listener, asked by a backup": {
			set: func(p *pair) {
				p.in(p.server, func() { p.up("eth0", "192.0.2.10/32", "2001:db8::10/128") })
			},
			want4: "refused: nothing listens on 192.0.2.11:80 of 192.0.2.11",
			want6: "refused: nothing listens on [2001:db8::11]:80 of 2001:db8::11",
		},
		// The server owns the address, and has to answer.
		"answers arp, asked by a backup": {
			set: func(p *pair) {
				wellSet(p)
				p.in(p.server, func() {
					p.sysctl("ipv4/conf/all/arp_ignore", "0")
					p.up("eth0", "2001:db8::10/128")
				})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			tt.set(p)
			for _, a := range []struct {
				vip    netip.AddrPort
				server netip.Addr
				want   string
			}{{vip4, server4, tt.want4}, {vip6, server6, tt.want6}} {
				err := p.probe(a.vip, a.server, 2)
				want := strings.ReplaceAll(a.want, "MAC", p.serverMAC)
				if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
					t.Errorf("%s: got  %v\nwant %s", a.vip, err, want)
				}
				if refused := strings.HasPrefix(want, "refused"); errors.Is(err, syscall.ECONNREFUSED) != refused {
					t.Errorf("%s: %v counts as refused: %v", a.vip, err, !refused)
				}
			}
		})
	}
}

// A server without the address that routes packets on to the owner would pass
// a test that looks at the answer alone.
func TestProbeSeesWhoAnswers(t *testing.T) {
	p := newPair(t)
	p.in(p.director, func() { p.bridgeOf(p.server) })
	err := p.probe(vip4, server4, 1)
	if err == nil || !strings.HasSuffix(err.Error(), "in its place: 192.0.2.10 does not stand on lo of 192.0.2.11, which passes the packets on") {
		t.Errorf("got %v", err)
	}
}

// bridgeOf gives the server a second cable, to an owner of the address, and
// lets it route there. The owner answers past it.
func (p *pair) bridgeOf(server netns.NsHandle) {
	owner := namespace(p.t)
	// All three meet at a bridge in the director.
	p.must(netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	br, err := netlink.LinkByName("br0")
	p.must(err)
	eth0, err := netlink.LinkByName("eth0")
	p.must(err)
	addrs, err := netlink.AddrList(eth0, netlink.FAMILY_V4)
	p.must(err)
	for _, a := range addrs {
		p.must(netlink.AddrDel(eth0, &a))
	}
	p.must(netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "eth1"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(owner),
	}))
	eth1, err := netlink.LinkByName("eth1")
	p.must(err)
	p.must(netlink.LinkSetMaster(eth0, br))
	p.must(netlink.LinkSetMaster(eth1, br))
	p.must(netlink.LinkSetUp(eth1))
	p.up("br0", "192.0.2.1/24")
	p.must(exec.Command("ip", "link", "set", "br0", "type", "bridge", "forward_delay", "0").Run())
	p.in(owner, func() { p.up("eth0", "192.0.2.12/24", "192.0.2.10/32") })
	p.listen(owner, ":80")
	p.in(server, func() {
		p.sysctl("ipv4/ip_forward", "1")
		p.sysctl("ipv4/conf/all/rp_filter", "0")
		p.sysctl("ipv4/conf/eth0/rp_filter", "0")
	})
}

func TestProbeSilentHost(t *testing.T) {
	p := newPair(t)
	err := p.probe(vip4, netip.MustParseAddr("192.0.2.99"), 1)
	if want := "192.0.2.99 does not answer on eth0, not even ARP: is it up?"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	err = p.probe(vip4, netip.MustParseAddr("198.51.100.1"), 1)
	if err == nil || !strings.HasPrefix(err.Error(), "no route to 198.51.100.1: ") {
		t.Errorf("got %v", err)
	}
	p.in(p.director, func() {
		p.must(netlink.RouteAdd(&netlink.Route{Gw: server4.AsSlice(), Dst: &net.IPNet{IP: net.IPv4(198, 51, 100, 0), Mask: net.CIDRMask(24, 32)}}))
	})
	err = p.probe(vip4, netip.MustParseAddr("198.51.100.1"), 1)
	if want := "198.51.100.1 is behind router 192.0.2.11: direct routing reaches servers of its own network alone"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The director is one of its own servers.
func TestProbeHere(t *testing.T) {
	p := newPair(t)
	here4, here6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	expect := func(vip netip.AddrPort, server netip.Addr, want string) {
		t.Helper()
		if err := p.probe(vip, server, 1); fmt.Sprint(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	expect(vip4, here4, "192.0.2.10 does not stand on lo of 192.0.2.1, which is this node")
	p.in(p.director, func() { p.up("lo", "192.0.2.10/32", "2001:db8::10/128") })
	expect(vip4, here4, "refused: nothing listens on 192.0.2.10:80 of 192.0.2.1")
	expect(vip6, here6, "refused: nothing listens on [2001:db8::10]:80 of 2001:db8::1")
	p.listen(p.director, "192.0.2.1:80")
	expect(vip4, here4, "refused: nothing listens on 192.0.2.10:80 of 192.0.2.1")
	p.listen(p.director, "192.0.2.10:80")
	expect(vip4, here4, "<nil>")
	p.listen(p.director, ":81")
	expect(netip.AddrPortFrom(vip4.Addr(), 81), here4, "<nil>")
	expect(netip.AddrPortFrom(vip6.Addr(), 81), here6, "<nil>")
}
