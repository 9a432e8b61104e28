package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/test/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const soon = 20 * time.Second

// A pair is a node with two virtual addresses, a peer that takes the node for
// their owner, and a client that does so too.
type pair struct {
	node, peer, client *lab.Node
	guard              *Guard
	log                bytes.Buffer
}

func config() l4.Config {
	service := func(protocol l4.Protocol, vip string, servers ...string) l4.Service {
		s := l4.Service{Protocol: protocol, Addrs: []netip.Addr{netip.MustParseAddr(vip)}, Port: 80, Forward: l4.DirectRoute}
		for _, a := range servers {
			s.Servers = append(s.Servers, l4.Server{Addr: netip.AddrPortFrom(netip.MustParseAddr(a), 80)})
		}
		return s
	}
	return l4.Config{Guard: true, Services: []l4.Service{
		service(l4.TCP, "192.0.2.100", "192.0.2.1", "192.0.2.2", "192.0.2.3"),
		service(l4.UDP, "192.0.2.100", "192.0.2.1", "192.0.2.2", "192.0.2.3"),
		service(l4.TCP, "2001:db8::100", "2001:db8::1", "2001:db8::2"),
		service(l4.UDP, "2001:db8::100", "2001:db8::1", "2001:db8::2"),
	}}
}

func newPair(t testing.TB) *pair {
	l := lab.New(t)
	p := &pair{node: l.Node("node"), peer: l.Node("peer"), client: l.Node("client")}
	lan := l.Network("lan")
	for i, n := range []*lab.Node{p.node, p.peer, p.client} {
		host := []int{1, 2, 9}[i]
		n.Attach(lan, "eth0", fmt.Sprintf("192.0.2.%d/24", host), fmt.Sprintf("2001:db8::%d/64", host))
	}
	p.node.AddAddr("lo", "192.0.2.100/32")
	p.node.AddAddr("lo", "2001:db8::100/128")
	for _, n := range []*lab.Node{p.peer, p.client} {
		n.Route("192.0.2.100/32", "192.0.2.1")
		n.Route("2001:db8::100/128", "2001:db8::1")
	}
	p.guard = New(Options{
		Log:   slog.New(slog.NewTextHandler(&p.log, nil)),
		Peers: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("198.51.100.1")} },
	})
	p.guard.Set(config())
	return p
}

// run runs the guard in the node until it is stopped, or the test ends.
func (p *pair) run(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		p.node.Do(func() {
			if err := p.guard.Run(ctx, sync.OnceFunc(func() { close(ready) })); err != nil {
				t.Error(err)
			}
		})
	})
	<-ready
	stop = sync.OnceFunc(func() { cancel(); wg.Wait(); t.Log(p.log.String()) })
	t.Cleanup(stop)
	return stop
}

func (p *pair) table() string { return p.node.Output("nft", "list", "ruleset") }

// state reads the table in the node.
func (p *pair) state(t testing.TB) (s State) {
	t.Helper()
	var err error
	p.node.Do(func() { s, err = read() })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// whole waits for the table with both addresses of the peer, and all services.
func (p *pair) whole(t testing.TB) {
	t.Helper()
	lab.Eventually(t, soon, "the table", func() error {
		if s := p.state(t); !s.Whole || len(s.Peers) != 1 || len(s.Services) != 4 {
			return fmt.Errorf("%+v\n%s", s, p.table())
		}
		return nil
	})
}

// TestKernel: what a peer sends arrives by every protocol and family and is
// counted, what a client sends is not, and the table comes back whatever
// another tool does to it.
func TestKernel(t *testing.T) {
	p := newPair(t)
	p.node.Output("nft", "add", "table", "inet", "foreign")
	p.run(t)
	p.whole(t)
	t.Log(p.table())
	t.Run("delivery", p.delivery)
	for _, args := range []string{
		"delete table inet portico_guard",
		"flush ruleset",
		"flush chain inet portico_guard after_ipvs",
		"add rule inet portico_guard before_ipvs drop",
		"add chain inet portico_guard other",
		"add table inet portico_guard { flags dormant; }",
		"flush set inet portico_guard peers",
		"add element inet portico_guard services4 { 192.0.2.100 . tcp . 81 : 253 }",
		"add element inet portico_guard services4 { 192.0.2.100 . tcp . 81 : 1 }",
		"flush map inet portico_guard protocols",
	} {
		t.Run(args, func(t *testing.T) {
			p.node.Output("nft", strings.Fields(args)...)
			p.whole(t)
		})
	}
	t.Run("status", func(t *testing.T) {
		s := p.guard.Status()
		left := map[string]string{}
		for _, peer := range s.Peers {
			left[peer.Address.String()] = peer.LeftOut
		}
		if !s.On || s.Services != 4 || s.LastError != "" || len(left) != 4 || left["192.0.2.2"] != "" || left["2001:db8::2"] != "" ||
			left["192.0.2.3"] != unknown || !strings.Contains(left["198.51.100.1"], "unreachable") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("off", func(t *testing.T) {
		p.node.Output("nft", "add", "table", "inet", "foreign")
		cfg := config()
		cfg.Guard = false
		p.guard.Set(cfg)
		lab.Eventually(t, soon, "no table", func() error {
			if table := p.table(); strings.Contains(table, tableName) {
				return errors.New(table)
			}
			return nil
		})
		if !strings.Contains(p.table(), "foreign") {
			t.Error("the table of another tool is gone")
		}
	})
}

// TestMany: a thousand services of each family and as many peers come and go,
// in more messages than one.
func TestMany(t *testing.T) {
	n := lab.New(t).Node("node")
	var many Table
	for i := range 1000 {
		port := uint16(i + 1)
		many.Peers = append(many.Peers, MAC{2, 0, 0, 0, byte(i >> 8), byte(i)})
		many.Services = append(many.Services,
			Service{l4.TCP, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.100"), port)},
			Service{l4.SCTP, netip.AddrPortFrom(netip.MustParseAddr("2001:db8::100"), port)})
	}
	slices.SortFunc(many.Services, Service.compare)
	few := Table{Peers: many.Peers[:1], Services: many.Services[:1]}
	for _, w := range []Table{many, few, many, {}} {
		var have, now State
		var err, readErr error
		var took time.Duration
		n.Do(func() {
			have, readErr = read()
			start := time.Now()
			err = apply(Diff(have, w))
			now, _ = read()
			took = time.Since(start)
		})
		if err != nil || readErr != nil {
			t.Fatal(err, readErr)
		}
		if c := Diff(now, w); !c.None() || now.Stands == w.empty() {
			t.Errorf("%d services and %d peers of %d and %d", len(now.Services), len(now.Peers), len(w.Services), len(w.Peers))
		}
		t.Logf("%d services, %d peers: %v", len(w.Services), len(w.Peers), took)
	}
}

func (p *pair) delivery(t *testing.T) {
	for _, network := range []string{"tcp4", "udp4", "tcp6", "udp6"} {
		address := "192.0.2.100:80"
		if strings.HasSuffix(network, "6") {
			address = "[2001:db8::100]:80"
		}
		if strings.HasPrefix(network, "tcp") {
			l := p.node.Listen(network, address)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					c.Write([]byte("here"))
					c.Close()
				}
			}()
			defer l.Close()
		} else {
			l := p.node.ListenPacket(network, address)
			go func() {
				for b := make([]byte, 9000); ; {
					n, from, err := l.ReadFrom(b)
					if err != nil {
						return
					}
					l.WriteTo(b[:n], from)
				}
			}()
			defer l.Close()
		}
		// 4,000 bytes are fragments for the network and whole again for IPVS.
		for _, n := range []int{10, 4000} {
			before := p.state(t).Packets
			if got := ask(t, p.client, network, address, n); got == 0 || p.state(t).Packets != before {
				t.Errorf("%s: %d bytes for the client, %d of its packets counted", network, got, p.state(t).Packets-before)
			}
			got := ask(t, p.peer, network, address, n)
			counted := p.state(t).Packets > before
			// IPv6 puts fragments together behind the hooks.
			if fragments := network == "udp6" && n > 1500; got == 0 || counted == fragments {
				t.Errorf("%s, %d bytes: %d bytes for the peer, its packets were counted: %v", network, n, got, counted)
			}
		}
	}
}

// ask sends n bytes and returns how many came back.
func ask(t *testing.T, n *lab.Node, network, address string, size int) int {
	t.Helper()
	c, err := n.DialContext(context.Background(), network, address)
	if err != nil {
		t.Errorf("%s from %s: %v", network, n.Name(), err)
		return 0
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(soon))
	if _, udp := c.(net.PacketConn); udp {
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Error(err)
		}
	}
	got, err := c.Read(make([]byte, 9000))
	if err != nil {
		t.Errorf("%s from %s: %v", network, n.Name(), err)
	}
	return got
}

// BenchmarkPacket sends datagrams through the input hook: what the guard costs
// a packet that is a client's, and one that is a peer's.
func BenchmarkPacket(b *testing.B) {
	for _, bm := range []struct {
		name        string
		guard, peer bool
	}{{"none", false, false}, {"client", true, false}, {"peer", true, true}} {
		b.Run(bm.name, func(b *testing.B) {
			p := newPair(b)
			// Nobody reads: what arrives is dropped at the socket, each time at the same cost.
			l := p.node.ListenPacket("udp4", "192.0.2.100:80")
			defer l.Close()
			if bm.guard {
				stop := p.run(b)
				p.whole(b)
				stop() // the table stays
			}
			from := p.client
			if bm.peer {
				from = p.peer
			}
			c, err := from.DialContext(context.Background(), "udp4", "192.0.2.100:80")
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			for b.Loop() {
				if _, err := c.Write([]byte("datagram")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
