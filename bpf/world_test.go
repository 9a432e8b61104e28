package bpf_test

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

const (
	loopback = 1 // the interface that Program.Run says a frame came from
	other    = 7 // another, that frames may leave by
)

// A world is the loaded program, and what user space says in its maps.
type world struct {
	testing.TB
	bpf.L4Maps
	PorticoL4 *ebpf.Program
	names     []string // of the verdicts
	rows      int      // of each table
}

// load loads the program after change, if there is one, had its way with it.
func load(t testing.TB, change func(*ebpf.CollectionSpec)) *world {
	t.Helper()
	spec, err := bpf.LoadL4()
	if err != nil {
		t.Fatal(err)
	}
	spec.Maps[bpf.L4MapFlows4].MaxEntries, spec.Maps[bpf.L4MapFlows6].MaxEntries = 4096, 4096
	if change != nil {
		change(spec)
	}
	w := &world{TB: t, rows: int(spec.Maps[bpf.L4MapTables].InnerMap.MaxEntries)}
	if w.names, err = bpf.Names(spec, "verdict"); err != nil {
		t.Fatal(err)
	}
	objects := struct {
		*bpf.L4Maps
		PorticoL4 *ebpf.Program `ebpf:"portico_l4"`
	}{L4Maps: &w.L4Maps}
	err = spec.LoadAndAssign(&objects, nil)
	w.PorticoL4 = objects.PorticoL4
	var refused *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.EPERM) && os.Getenv("PORTICO_LAB") == "":
		t.Skip("loading a BPF program needs CAP_BPF and CAP_NET_ADMIN")
	case errors.As(err, &refused):
		t.Fatalf("%+v", refused)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { w.PorticoL4.Close(); w.L4Maps.Close() })
	w.live()
	return w
}

// live says that the director lives, with two interfaces and a peer.
func (w *world) live() {
	w.Helper()
	w.put(w.Interfaces, uint32(loopback), wireMAC(director))
	w.put(w.Interfaces, uint32(other), wireMAC(second))
	w.put(w.Peers, wireMAC(peer), uint8(0))
	w.put(w.Fence, uint32(0), bpf.L4Fence{BeatNs: now(), LimitNs: uint64(time.Hour)})
}

// tune sets a tunable before the program is loaded.
func tune(name string, value any) func(*ebpf.CollectionSpec) {
	return func(spec *ebpf.CollectionSpec) {
		if err := spec.Variables[name].Set(value); err != nil {
			panic(err)
		}
	}
}

func (w *world) put(m *ebpf.Map, key, value any) {
	w.Helper()
	if err := m.Put(key, value); err != nil {
		w.Fatal(m, key, err)
	}
}

// now is the program's clock.
func now() uint64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts)
	return uint64(ts.Nano())
}

func wireMAC(m mac) (b bpf.L4Mac) {
	for i := range b.Word {
		b.Word[i] = uint16(m[2*i]) | uint16(m[2*i+1])<<8
	}
	return b
}

func wireAddr(a netip.Addr) (b bpf.L4Address) {
	as16 := a.As16()
	for i := range b.Word {
		b.Word[i] = le.Uint32(as16[4*i:])
	}
	return b
}

func wirePort(p uint16) uint16 { return p<<8 | p>>8 }

// A server is a backend of a service.
type server struct {
	dest    mh.Dest
	backend bpf.L4Backend
}

// serverAt is the i-th server of a service: where it is, and a weight.
func serverAt(i int, vip netip.AddrPort, weight int) server {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	if vip.Addr().Is6() {
		addr = netip.MustParseAddr("2001:db8:a::").Next()
		for range i {
			addr = addr.Next()
		}
	}
	s := server{
		dest: mh.Dest{Addr: netip.AddrPortFrom(addr, vip.Port()), Weight: weight, LastWeight: max(weight, 1)},
		backend: bpf.L4Backend{
			Mac: wireMAC(macOf(uint32(i))), Ifindex: loopback,
			Flags: resolved, Generation: 1,
		},
	}
	if weight > 0 {
		s.backend.Flags |= scheduled
	}
	return s
}

// macOf is the MAC address of a backend.
func macOf(i uint32) mac { return mac{2, 0xbe, 0, 0, byte(i >> 8), byte(i)} }

const (
	scheduled, local, resolved = 1, 2, 4
	withPort, withFallback     = 1, 2
)

// serve programs a service with its servers; their ids start at first.
func (w *world) serve(id uint32, proto byte, vip netip.AddrPort, flags, first uint32, servers ...server) {
	w.Helper()
	var dests []mh.Dest
	for i, s := range servers {
		dests = append(dests, s.dest)
		w.put(w.Backends, first+uint32(i), s.backend)
	}
	w.table(id, first, mh.Table(dests, w.rows))
	w.put(w.Services, bpf.L4ServiceKey{Addr: wireAddr(vip.Addr()), Port: wirePort(vip.Port()), Protocol: proto}, bpf.L4Service{Id: id, Flags: flags})
	w.revise()
}

// table puts a service's table into the kernel.
func (w *world) table(id, first uint32, table []uint16) {
	w.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: uint32(len(table))})
	if err != nil {
		w.Fatal(err)
	}
	defer m.Close()
	keys, values := make([]uint32, len(table)), make([]uint32, len(table))
	for i, d := range table {
		if keys[i] = uint32(i); d != mh.Empty {
			values[i] = first + uint32(d)
		}
	}
	if _, err := m.BatchUpdate(keys, values, nil); err != nil {
		w.Fatal(err)
	}
	w.put(w.Tables, id, m)
}

// empty removes what a map holds.
func empty[K any](w *world, m *ebpf.Map, _ K) {
	var keys []K
	var k K
	var v [32]byte
	for it := m.Iterate(); it.Next(&k, v[:m.ValueSize()]); {
		keys = append(keys, k)
	}
	for _, k := range keys {
		if err := m.Delete(k); err != nil {
			w.Fatal(err)
		}
	}
}

// forget empties the flow cache.
func (w *world) forget() {
	empty(w, w.Flows4, bpf.L4Flow4Key{})
	empty(w, w.Flows6, bpf.L4Flow6Key{})
}

// revise has the CPUs forget what they recall of services.
func (w *world) revise() {
	w.Helper()
	var edition uint64
	if err := w.Edition.Lookup(uint32(0), &edition); err != nil {
		w.Fatal(err)
	}
	w.put(w.Edition, uint32(0), edition+1)
}

// run sends a frame through the program and returns what came out, and why.
func (w *world) run(frame []byte) (out []byte, verdict string) {
	w.Helper()
	before := w.verdicts()
	opts := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	action, err := w.PorticoL4.Run(&opts)
	if err != nil {
		w.Fatal(err)
	}
	for v, n := range w.verdicts() {
		switch n - before[v] {
		case 0:
			continue
		case 1:
			if verdict != "" {
				w.Fatal("two verdicts:", verdict, w.names[v])
			}
			verdict = w.names[v]
		default:
			w.Fatal(w.names[v], "counted", n-before[v], "times")
		}
	}
	if want := actionOf(verdict); action != want {
		w.Fatalf("%s is action %d, want %d", verdict, action, want)
	}
	return opts.DataOut, verdict
}

// actionOf is what the kernel is told to do (enum xdp_action).
func actionOf(verdict string) uint32 {
	switch {
	case verdict == "send":
		return 3
	case verdict == "send_other":
		return 4
	case strings.HasPrefix(verdict, "drop_"):
		return 1
	default:
		return 2
	}
}

// verdicts returns what was counted so far.
func (w *world) verdicts() (n [bpf.L4VerdictVERDICTS]uint64) {
	w.Helper()
	var keys [len(n)]uint32
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		w.Fatal(err)
	}
	each, cursor := make([]uint64, len(n)*cpus), ebpf.MapBatchCursor{}
	if _, err := w.Verdicts.BatchLookup(&cursor, keys[:], each, nil); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		w.Fatal(err)
	}
	for i, one := range each {
		n[keys[i/cpus]] += one
	}
	return n
}

func (w *world) event(e bpf.L4Event) uint64 { return sum(w, w.Events, uint32(e)) }

// sum adds up what the CPUs counted.
func sum(w *world, m *ebpf.Map, key uint32) (n uint64) {
	w.Helper()
	var each []uint64
	if err := m.Lookup(key, &each); err != nil {
		w.Fatal(err)
	}
	for _, one := range each {
		n += one
	}
	return n
}

// counters adds up what the CPUs sent for a service or to a backend.
func (w *world) counters(m *ebpf.Map, id uint32) (n bpf.L4Counters) {
	w.Helper()
	var each []bpf.L4Counters
	if err := m.Lookup(id, &each); err != nil {
		w.Fatal(err)
	}
	for _, one := range each {
		n.Packets, n.Bytes, n.Flows = n.Packets+one.Packets, n.Bytes+one.Bytes, n.Flows+one.Flows
	}
	return n
}
