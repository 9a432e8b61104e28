package doctor

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip/vrrp"
)

// TestXDPFeatures asks the kernel about a driver that takes programs, and about
// one that does not.
func TestXDPFeatures(t *testing.T) {
	if _, err := netlink.GenlFamilyGet("netdev"); err != nil && os.Getenv("PORTICO_LAB") == "" {
		t.Skip("before Linux 6.3 the kernel does not tell:", err)
	}
	l := lab.New(t)
	us := l.Node("us")
	us.Attach(l.Network("lan"), "us0", "192.0.2.11/24")
	for name, native := range map[string]bool{"us0": true, "lo": false} {
		us.Do(func() {
			link, err := netlink.LinkByName(name)
			if err != nil {
				t.Error(err)
				return
			}
			f := xdpFact{driver: "unheard of"}
			if f.features, f.told = xdpFeatures(link.Attrs().Index); !f.told || f.native() != native {
				t.Errorf("%s: %+v, want native %v", name, f, native)
			}
		})
	}
}

// TestListenVRRP hears what another host says, in both families, and not what
// this one does.
func TestListenVRRP(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	us, other := l.Node("us"), l.Node("other")
	us.Attach(lan, "us0", "192.0.2.11/24", "2001:db8::11/64")
	other.Attach(lan, "other0", "192.0.2.12/24", "2001:db8::12/64")
	open := func(n *lab.Node, v6 bool) *vrrp.Conn {
		var c *vrrp.Conn
		n.Do(func() {
			lab.Eventually(t, 30*time.Second, "open "+n.Name(), func() (err error) { // the link-local address comes late
				c, err = vrrp.Open(vrrp.Endpoint{Interface: n.Name() + "0", IPv6: v6})
				return err
			})
		})
		t.Cleanup(func() { c.Close() })
		return c
	}
	packet := vrrp.Packet{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.99")}}
	packet6 := packet
	packet6.Addrs = []netip.Addr{netip.MustParseAddr("fe80::99")}
	own, theirs, theirs6 := open(us, false), open(other, false), open(other, true)

	send := func(n *lab.Node, c *vrrp.Conn, p vrrp.Packet) {
		n.Do(func() { // where the zone of the group's address is known
			if err := c.Send(p); err != nil {
				t.Error(err)
			}
		})
	}

	done := make(chan struct{})
	defer func() { <-done }()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		defer close(done)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
				send(us, own, packet)
				send(other, theirs, packet)
				send(other, theirs6, packet6)
			}
		}
	}()
	us.Do(func() {
		lab.Eventually(t, 30*time.Second, "hear both families", func() error {
			adverts, err := listenVRRP(t.Context(), []string{"us0"}, 500*time.Millisecond)
			if err != nil {
				return err
			}
			var four, six bool
			for _, h := range adverts {
				if h.source == netip.MustParseAddr("192.0.2.11") {
					t.Fatal("heard its own")
				}
				if h.broken || h.packet.VRID != 51 {
					t.Fatalf("%+v", h)
				}
				four, six = four || h.source.Is4(), six || h.source.Is6()
			}
			if !four || !six {
				return net.ErrClosed
			}
			return nil
		})
		if _, err := listenVRRP(t.Context(), []string{"eth9"}, time.Millisecond); err == nil {
			t.Error("there is no eth9")
		}
	})
}

// TestMachine reads the machine's own files, routes and sockets in a namespace.
func TestMachine(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	n := l.Node("edge")
	n.Attach(lan, "eth0", "192.0.2.11/24")
	n.Route("10.244.1.0/24", "192.0.2.21")
	n.Route("0.0.0.0/0", "192.0.2.1")
	n.Sysctl("net.ipv4.conf.eth0.rp_filter", "1")
	n.Sysctl("net.ipv4.conf.all.rp_filter", "0")
	n.Do(func() {
		var plain net.ListenConfig
		plain.SetMultipathTCP(false) // the kernel lists the socket of such a one under another number
		listening, err := plain.Listen(t.Context(), "tcp", "192.0.2.11:80")
		if err != nil {
			t.Fatal(err)
		}
		defer listening.Close()
		r := routeTo("n1", netip.MustParsePrefix("10.244.1.0/24"))
		if r.err != nil || r.fallback || r.gateway != "192.0.2.21" || r.device != "eth0" {
			t.Errorf("%+v", r)
		}
		if r := routeTo("n2", netip.MustParsePrefix("10.244.2.0/24")); !r.fallback || r.gateway != "192.0.2.1" {
			t.Errorf("%+v", r)
		}
		if r := routeTo("n3", netip.MustParsePrefix("fd00::/64")); r.err == nil {
			t.Errorf("%+v", r)
		}
		node := &Node{Files: os.DirFS("/")}
		compare(t, []judged{{"port", judgePorts([]wantedPort{{"tcp", ":80", "l7.entrypoint http", false}}, readListeners(node.Files)), "fail TCP port 80 (l7.entrypoint http) is held by " + thisProcess(t)}})
	})
}

// thisProcess is this process as others see it.
func thisProcess(t *testing.T) string {
	t.Helper()
	for _, p := range processes(os.DirFS("/")) {
		if p.pid == os.Getpid() {
			return p.name + " (process " + strconv.Itoa(p.pid) + ")"
		}
	}
	t.Fatal("this process is not to be seen")
	return ""
}
