package bpf_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/test/lab"
)

// Where the machines of these tests are. The address of the service stands on
// lo, as on every edge node.
const (
	edge4, edge6   = "10.7.0.1", "fd07::1"
	guest4, guest6 = "10.7.0.2", "fd07::2"
)

// A cookieWorld is an edge node whose eth0 runs all programs, and a client.
type cookieWorld struct {
	*world
	edge, client *lab.Node
	index        int // of eth0
	// admit is nil where the kernel has to take who comes back by itself.
	answer, relayed, admit *ebpf.Program
	accepted               chan *net.TCPConn
}

// withCookies loads the programs and runs them where every SYN is one too many.
func withCookies(t testing.TB) *cookieWorld {
	l := lab.New(t)
	lan := l.Network("lan")
	w := &cookieWorld{edge: l.Node("edge"), client: l.Node("client"), accepted: make(chan *net.TCPConn, 16)}
	w.edge.Attach(lan, "eth0", edge4+"/24", edge6+"/64")
	w.client.Attach(lan, "eth0", guest4+"/24", guest6+"/64")
	w.client.NoOffload("eth0")
	lan.TakeXDP(w.edge)
	for _, vip := range []netip.AddrPort{vip4, vip6} {
		w.edge.AddAddr("lo", netip.PrefixFrom(vip.Addr(), vip.Addr().BitLen()).String())
	}
	w.client.Route(vip4.Addr().String()+"/32", edge4)
	w.client.Route(vip6.Addr().String()+"/128", edge6)
	w.edge.Route("0.0.0.0/0", guest4)
	w.edge.Route("::/0", guest6)
	w.edge.Sysctl("net.ipv4.ip_forward", "1")
	w.edge.Sysctl("net.ipv6.conf.all.forwarding", "1")

	w.world = load(t, func(spec *ebpf.CollectionSpec) {
		spec.Programs[bpf.L4ProgPorticoL4] = spec.Programs[bpf.L4ProgPorticoL4Cookies]
	})
	w.loadCookies()
	w.edge.Do(func() { w.attach() })
	return w
}

// loadCookies loads the programs on the maps of the first.
func (w *cookieWorld) loadCookies() {
	spec, err := bpf.LoadCookie()
	if err != nil {
		w.Fatal(err)
	}
	shared := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{
		bpf.CookieMapAnswerers: w.Answerers, bpf.CookieMapListeners: w.Listeners, bpf.CookieMapEvents: w.Events,
		bpf.CookieMapInterfaces: w.Interfaces, bpf.CookieMapPeers: w.Peers, bpf.CookieMapFence: w.Fence,
	}}
	var admits struct {
		Program *ebpf.Program `ebpf:"portico_admit"`
	}
	if err := spec.LoadAndAssign(&admits, &shared); err != nil {
		if version, _ := features.LinuxVersionCode(); version >= 6<<16|8<<8 {
			w.Fatalf("%+v", err)
		}
		tune(bpf.CookieVarTimestamps, false)(spec)
		w.edge.Sysctl("net.ipv4.tcp_syncookies", "2")
	}
	var answers struct {
		Answer  *ebpf.Program `ebpf:"portico_answer"`
		Relayed *ebpf.Program `ebpf:"portico_answer_relayed"`
	}
	if err := spec.LoadAndAssign(&answers, &shared); err != nil {
		w.Fatalf("%+v", err)
	}
	w.answer, w.relayed, w.admit = answers.Answer, answers.Relayed, admits.Program
	w.Cleanup(func() { w.answer.Close(); w.relayed.Close(); w.admit.Close() })
	w.put(w.Answerers, uint32(0), w.answer)
	w.put(w.Answerers, uint32(1), w.relayed)
}

// attach puts the programs on the edge's eth0, with services that are its own.
func (w *cookieWorld) attach() {
	i, err := net.InterfaceByName("eth0")
	if err != nil {
		w.Fatal(err)
	}
	w.index = i.Index
	w.put(w.Interfaces, uint32(w.index), wireMAC(mac(i.HardwareAddr)))
	for id, vip := range []netip.AddrPort{vip4, vip6} {
		w.serve(uint32(id+1), protoTCP, vip, withPort, uint32(id+1), serverAt(1, vip, 1))
		backend(uint32(id+1), flags(scheduled|local))(w.world)
		w.flood(vip)
	}
	x, err := link.AttachXDP(link.XDPOptions{Program: w.PorticoL4, Interface: w.index, Flags: link.XDPDriverMode})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { x.Close() })
	if w.admit == nil {
		return
	}
	a, err := link.AttachTCX(link.TCXOptions{Program: w.admit, Interface: w.index, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { a.Close() })
}

func listenerKey(vip netip.AddrPort) bpf.L4ServiceKey {
	return bpf.L4ServiceKey{Addr: wireAddr(vip.Addr()), Port: wirePort(vip.Port()), Protocol: protoTCP}
}

// flood has a port's allowance be used up for an hour.
func (w *cookieWorld) flood(vip netip.AddrPort) {
	w.put(w.Listeners, listenerKey(vip), bpf.L4Listener{DueNs: now() + uint64(time.Hour)})
}

// prime has a socket that the kernel answers for see one SYN: it takes cookies
// for two minutes after it sent one.
func (w *cookieWorld) prime() {
	if w.admit != nil {
		return
	}
	if err := w.Listeners.Delete(listenerKey(vip4)); err != nil {
		w.Fatal(err)
	}
	w.talk(vip4).Close()
	w.negotiated()
	w.flood(vip4)
}

// listen waits for connections at the edge, and sends back what they say.
func (w *cookieWorld) listen(network, addr string, mptcp bool) {
	w.Helper()
	var c net.ListenConfig
	c.SetMultipathTCP(mptcp)
	var s net.Listener
	var err error
	w.edge.Do(func() { s, err = c.Listen(context.Background(), network, addr) })
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { s.Close() })
	go func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			w.accepted <- conn.(*net.TCPConn)
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
}

// negotiated says what the kernel of the edge knows of the latest connection's
// client: the options of TCP_INFO (TCPI_OPT_TIMESTAMPS is 1, _SACK 2, _WSCALE 4)
// and the size of segments to it.
func (w *cookieWorld) negotiated() (n [2]int) {
	w.Helper()
	raw, err := (<-w.accepted).SyscallConn()
	if err != nil {
		w.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			w.Fatal(err)
		}
		n = [2]int{int(info.Options), int(info.Snd_mss)}
	})
	if err != nil {
		w.Fatal(err)
	}
	return n
}

// talk sends a megabyte to the service, and gets it back.
func (w *cookieWorld) talk(vip netip.AddrPort) net.Conn {
	w.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	conn, err := w.client.DialContext(ctx, "tcp", vip.String())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	said := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() { _, _ = conn.Write(said) }()
	heard := make([]byte, len(said))
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		w.Fatal(err)
	}
	if _, err := io.ReadFull(conn, heard); err != nil || !bytes.Equal(said, heard) {
		w.Fatal("heard something else", err)
	}
	return conn
}

// cookies waits until as many were sent, came back, were none and were refused;
// only the first is known where the kernel takes them by itself.
func (w *cookieWorld) cookies(sent, good, bad, refused uint64) {
	w.Helper()
	if w.admit == nil {
		good, bad, refused = 0, 0, 0
	}
	want := [...]uint64{sent, good, bad, refused}
	lab.Eventually(w.TB, 30*time.Second, "cookies sent, good, bad, refused", func() error {
		got := [...]uint64{w.event(bpf.L4EventCOOKIE_SENT), w.event(bpf.L4EventCOOKIE_GOOD), w.event(bpf.L4EventCOOKIE_BAD), w.event(bpf.L4EventCOOKIE_REFUSED)}
		if got != want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
}

// TestCookieConnections has clients with and without each option connect by
// cookies, and looks what the edge's kernel knows of them then.
func TestCookieConnections(t *testing.T) {
	w := withCookies(t)
	w.listen("tcp", ":443", false)
	w.prime()
	sent := uint64(0)
	for _, tt := range []struct {
		name   string
		sysctl string // switched off at the client
		mtu    string
		want   [2][2]int // as negotiated, over IPv4 and over IPv6
	}{
		{"all options", "", "1500", [2][2]int{{7, 1448}, {7, 1428}}},
		{"no scaling", "net.ipv4.tcp_window_scaling", "1500", [2][2]int{{3, 1448}, {3, 1428}}},
		{"no SACK", "net.ipv4.tcp_sack", "1500", [2][2]int{{5, 1448}, {5, 1428}}},
		{"a tunnel", "", "1400", [2][2]int{{7, 1288}, {7, 1208}}},
		{"no timestamps", "net.ipv4.tcp_timestamps", "1500", [2][2]int{{0, 536}, {0, 1220}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			if tt.sysctl != "" {
				w.client.Sysctl(tt.sysctl, "0")
				defer w.client.Sysctl(tt.sysctl, "1")
			}
			w.client.Output("ip", "link", "set", "eth0", "mtu", tt.mtu)
			for i, vip := range []netip.AddrPort{vip4, vip6} {
				conn := w.talk(vip)
				sent++
				w.cookies(sent, sent, 0, 0)
				want := tt.want[i]
				if w.admit == nil { // the kernel knows the rounded MSS, and nothing else
					want = [2]int{0, map[string][2]int{"1500": {1460, 1440}, "1400": {1300, 1220}}[tt.mtu][i]}
				}
				if got := w.negotiated(); got != want {
					t.Errorf("%v: negotiated %d, want %d", vip, got, want)
				}
				conn.Close()
			}
		})
	}
}

// TestCookieRefused has a socket refuse a connection: the kernel answers from
// then on.
func TestCookieRefused(t *testing.T) {
	w := withCookies(t)
	if w.admit == nil {
		return // the kernel takes them by itself
	}
	w.edge.Sysctl("net.mptcp.enabled", "1")
	w.listen("tcp4", ":443", true)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if conn, err := w.client.DialContext(ctx, "tcp", vip4.String()); err == nil {
		conn.Close()
	}
	w.cookies(1, 0, 0, 1)
	w.talk(vip4).Close()
	w.cookies(1, 0, 0, 1)
}
