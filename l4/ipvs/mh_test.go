package ipvs_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/xdp/mh"
	"github.com/portico-lb/portico/test/lab"
)

const (
	// 16 lives of 16 states of 80 flows are 20,480.
	livesEach     = 2
	statesPerLife = 16
	flowsPerState = 80
	// ftpData is a client's port that IPVS schedules nothing from
	// (ip_vs_core.c, ip_vs_schedule).
	ftpData = 20
)

// IPVS sends every flow to the server that mh names, and XDP's program does so
// with a table that mh made, whatever the servers of
// a service went through: who came when and with which weight, who failed,
// left, and came back.
func TestChoosesAsComputed(t *testing.T) {
	lab.NeedIPVS(t)
	xdp := newProgram(t)
	for i, vip := range []string{"192.0.2.10", "2001:db8::10"} {
		for j, flags := range []uint32{0, l4.FlagPort, l4.FlagFallback, l4.FlagFallback | l4.FlagPort} {
			t.Run(fmt.Sprintf("%s, flags %#x", vip, flags), func(t *testing.T) {
				at := newStage(t, xdp)
				for n := range livesEach {
					key := l4.Key{Protocol: []l4.Protocol{l4.TCP, l4.UDP}[n%2]}
					key.Addr = netip.AddrPortFrom(netip.MustParseAddr(vip), 80)
					live(t, at, l4.VirtualService{Key: key, Scheduler: "mh", Flags: flags}, rand.New(rand.NewPCG(uint64(i), uint64(livesEach*j+n))))
				}
			})
		}
	}
}

// A plan says all that mh must know: the kernel that was brought to it chooses
// accordingly, whatever it held before.
func TestChoosesAsPlanned(t *testing.T) {
	lab.NeedIPVS(t)
	d := newDirector(t, lab.New(t), "a")
	for i, state := range []struct {
		name          string
		servers, down []int
		restart       bool
	}{
		{name: "three", servers: []int{5, 2, 9}},
		{name: "one is down", servers: []int{5, 2, 9}, down: []int{2}},
		{name: "down since the start", servers: []int{9, 3, 2, 5}, down: []int{2, 3}, restart: true},
		{name: "two more", servers: []int{1, 2, 3, 4, 5, 9}, down: []int{3, 9}},
		{name: "one less", servers: []int{1, 2, 3, 4, 9}},
	} {
		t.Run(state.name, func(t *testing.T) {
			if state.restart {
				d.restart()
			}
			d.see(t, state.servers, state.down)
			want := l4.Plan(d.config, l4.Inputs{Health: d.health, Owned: func(netip.Addr) bool { return true }}).Services[0]
			have, err := d.Read()
			if err != nil {
				t.Fatal(err)
			}
			addr := func(x l4.Destination) netip.AddrPort { return x.Addr }
			if a, b := each(have.Find(want.Key).Destinations, addr), each(want.Destinations, addr); !slices.Equal(a, b) {
				t.Fatalf("the kernel lists %v, planned are %v", a, b)
			}
			servers := inputs(want.Destinations)
			table := mh.Table(servers, mh.Size)
			for port, got := range d.choices(t, 20000+i*clients, clients) {
				client := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.200"), uint16(port))
				if want := pick(table, servers, client, want.Flags).String(); got != want {
					t.Errorf("%v goes to %s, want %s", client, got, want)
				}
			}
		})
	}
}

func each[A, B any](all []A, f func(A) B) (out []B) {
	for _, a := range all {
		out = append(out, f(a))
	}
	return out
}

// A stage is a director that gets its packets from a wire.
type stage struct {
	kernel
	wire *wire
	xdp  *program
	// last has one server, who gets a flow after all others that are sent.
	last  l4.VirtualService
	flows int
}

func newStage(t *testing.T, xdp *program) *stage {
	l := lab.New(t)
	lan, node, client := l.Network("lan"), l.Node("director"), l.Node("client")
	node.Attach(lan, "eth0", "192.0.2.10/32", "2001:db8::10/128")
	client.Attach(lan, "eth0")
	node.NoReversePathFilter()
	// What goes to the servers is lost, without anybody asking who they are.
	node.Output("ip", "link", "add", "servers", "type", "dummy")
	node.Output("ip", "link", "set", "servers", "up")
	node.Output("ip", "route", "add", "10.0.0.0/8", "dev", "servers")
	node.Output("ip", "route", "add", "2001:db8:1::/48", "dev", "servers")

	s := &stage{kernel: newKernel(t, node), wire: newWire(t, client, node), xdp: xdp}
	s.last = l4.VirtualService{Key: l4.Key{Protocol: l4.UDP, Addr: netip.MustParseAddrPort("192.0.2.10:9")}, Scheduler: "rr"}
	s.apply(t, l4.Op{Kind: l4.AddService, Service: s.last})
	s.apply(t, l4.Op{Kind: l4.AddDest, Service: s.last, Dest: l4.Destination{
		Addr: netip.MustParseAddrPort("10.0.0.1:9"), Forward: l4.DirectRoute, Weight: 1,
	}})
	return s
}

func (s *stage) apply(t *testing.T, op l4.Op) {
	t.Helper()
	if err := s.Apply(op); err != nil {
		t.Fatal(err)
	}
}

// send sends the first packet of each flow, and returns when IPVS has dealt
// with them all.
func (s *stage) send(t *testing.T, k l4.Key, clients []netip.AddrPort) {
	t.Helper()
	s.flows++
	last := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(1000+s.flows))
	s.wire.send(t, flows{k, clients}, flows{s.last.Key, []netip.AddrPort{last}})
	lab.Eventually(t, 30*time.Second, "the flows to arrive", func() error {
		have, err := s.Read()
		if err != nil {
			return err
		}
		if d := have.Find(s.last.Key).Destinations[0]; d.Inactive != s.flows {
			return fmt.Errorf("%d of those behind them, want %d", d.Inactive, s.flows)
		}
		return nil
	})
}

// A life is that of one service.
type life struct {
	*stage
	service l4.VirtualService
	random  *rand.Rand
	// weights are what the servers get, and bases the kernel's last_weight.
	weights func() int
	bases   map[netip.AddrPort]int
	gone    []netip.AddrPort
	// undecided counts the clients for whom XDP would have to look on for too
	// long, and leaves that to IPVS.
	undecided int
	// want is the server of each client, the zero one for a refusal.
	want map[netip.AddrPort]netip.AddrPort
}

func live(t *testing.T, at *stage, service l4.VirtualService, r *rand.Rand) {
	x := &life{
		stage: at, service: service, random: r,
		bases: map[netip.AddrPort]int{}, want: map[netip.AddrPort]netip.AddrPort{},
	}
	x.weights = []func() int{
		func() int { return 1 },
		func() int { return r.IntN(6) },
		func() int { return 100 * r.IntN(6) },
		func() int { return r.IntN(1 << r.IntN(16)) },
	}[r.IntN(4)]
	x.apply(t, l4.Op{Kind: l4.AddService, Service: x.service})
	for range []int{1, 3, 10, 40}[r.IntN(4)] {
		x.add(t, x.server(), x.weights())
	}
	for range statesPerLife {
		x.change(t, x.flow(t))
	}
	x.compare(t)
}

// server is the address of a new server.
func (x *life) server() netip.AddrPort {
	b := binary.BigEndian.AppendUint32(nil, 10<<24|x.random.Uint32N(1<<24))
	addr := netip.AddrFrom4([4]byte(b))
	if x.service.Key.Addr.Addr().Is6() {
		b = binary.BigEndian.AppendUint64([]byte{0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0}, x.random.Uint64())
		addr = netip.AddrFrom16([16]byte(b))
	}
	return netip.AddrPortFrom(addr, uint16(1+x.random.IntN(2)*x.random.IntN(65535)))
}

// client is the address of a new client, of no network that is special.
func (x *life) client() netip.AddrPort {
	b := binary.BigEndian.AppendUint64(nil, x.random.Uint64())
	port := uint16(1 + x.random.IntN(65535))
	if x.random.IntN(100) == 0 {
		port = ftpData
	}
	if x.service.Key.Addr.Addr().Is6() {
		b = binary.BigEndian.AppendUint64(b, x.random.Uint64())
		b[0] = 0x2a
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)), port)
	}
	b[0] = byte(11 + x.random.IntN(116))
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), port)
}

func (x *life) add(t *testing.T, addr netip.AddrPort, weight int) {
	t.Helper()
	x.apply(t, l4.Op{Kind: l4.AddDest, Service: x.service, Dest: l4.Destination{Addr: addr, Forward: l4.DirectRoute, Weight: weight}})
	x.bases[addr] = weight
}

// change does one of the things that happen to a service with these servers.
func (x *life) change(t *testing.T, servers []mh.Dest) {
	t.Helper()
	some := func() netip.AddrPort { return servers[x.random.IntN(len(servers))].Addr }
	switch what := x.random.IntN(10); {
	case what == 0: // all servers at once, as they stand
		other := x.service
		other.Scheduler = "rr"
		x.apply(t, l4.Op{Kind: l4.SetService, Service: other})
		x.apply(t, l4.Op{Kind: l4.SetService, Service: x.service})
	case what < 3 || len(servers) == 0:
		x.add(t, x.server(), x.weights())
	case what < 5 && len(x.gone) > 0: // while the kernel remembers it
		x.add(t, x.gone[0], x.weights()*x.random.IntN(2))
		x.gone = x.gone[1:]
	case what < 6:
		addr := some()
		x.apply(t, l4.Op{Kind: l4.DelDest, Service: x.service, Dest: l4.Destination{Addr: addr}})
		delete(x.bases, addr)
		x.gone = append(x.gone, addr)
	default:
		addr, weight := some(), x.weights()*x.random.IntN(2)
		x.apply(t, l4.Op{Kind: l4.SetDest, Service: x.service, Dest: l4.Destination{Addr: addr, Forward: l4.DirectRoute, Weight: weight}})
		if weight != 0 {
			x.bases[addr] = weight
		}
	}
}

// flow sends flows, notes what mh says about each, and returns the servers.
func (x *life) flow(t *testing.T) []mh.Dest {
	t.Helper()
	s, err := x.Read()
	if err != nil {
		t.Fatal(err)
	}
	have := s.Find(x.service.Key).Destinations
	for i, d := range have {
		have[i].Base = x.bases[d.Addr]
	}
	servers := inputs(have)
	table := mh.Table(servers, mh.Size)
	x.xdp.serve(x.service, servers, table)
	var clients []netip.AddrPort
	for range flowsPerState {
		c := x.client()
		clients = append(clients, c)
		x.want[c] = pick(table, servers, c, x.service.Flags)
		if got, undecided := x.xdp.choose(x.service.Key, servers, c); got != x.want[c] && !undecided {
			t.Errorf("XDP sends %v to %v, want %v", c, got, x.want[c])
		} else if undecided {
			x.undecided++
		}
	}
	x.send(t, x.service.Key, clients)
	return servers
}

// inputs are what mh makes of destinations: what a package that uses both does.
func inputs(from []l4.Destination) (dests []mh.Dest) {
	for _, d := range from {
		last := d.Weight
		if last == 0 {
			last = d.Base
		}
		dests = append(dests, mh.Dest{Addr: d.Addr, Weight: d.Weight, LastWeight: last})
	}
	return dests
}

func pick(table []uint16, dests []mh.Dest, client netip.AddrPort, flags uint32) netip.AddrPort {
	port := client.Port()
	if port == ftpData {
		return netip.AddrPort{}
	}
	if flags&l4.FlagPort == 0 {
		port = 0
	}
	i, ok := mh.Pick(table, dests, client.Addr(), port, flags&l4.FlagFallback != 0)
	if !ok {
		return netip.AddrPort{}
	}
	return dests[i].Addr
}

func (x *life) compare(t *testing.T) {
	t.Helper()
	refused, chosen := 0, map[netip.AddrPort]bool{}
	for _, server := range x.want {
		if server.IsValid() {
			chosen[server] = true
		} else {
			refused++
		}
	}
	t.Logf("%s: %d flows, %d of them refused, to %d servers; %d not decided by XDP", x.service.Key, len(x.want), refused, len(chosen), x.undecided)
	if len(x.want) != statesPerLife*flowsPerState || len(chosen) == 0 || x.undecided > len(x.want)/2 {
		t.Fatal("too few to tell")
	}
	// The kernel goes through its list by numbers: where a connection ends
	// meanwhile, it may leave another one out.
	got := map[netip.AddrPort]netip.AddrPort{}
	lab.Eventually(t, 10*time.Second, "the same choices", func() error {
		maps.Copy(got, connections(t, x.node, x.service.Key))
		differ, example := 0, ""
		for client, want := range x.want {
			if got[client] != want {
				differ, example = differ+1, fmt.Sprintf("%v goes to %v, want %v", client, got[client], want)
			}
		}
		if differ > 0 {
			return fmt.Errorf("%d of %d flows differ: %s", differ, len(x.want), example)
		}
		return nil
	})
}
