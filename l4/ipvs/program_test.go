package ipvs_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

// A program is what XDP would choose, were it attached.
type program struct {
	testing.TB
	bpf.L4Maps
	*ebpf.Program
	rows   *ebpf.Map // the table of service 1
	states uint32
}

// What the kernel is told to do with a frame (enum xdp_action), and where a
// frame comes from that it was given by hand: the loopback interface.
const (
	xdpPass, xdpTX = 2, 3
	byHand         = 1
)

// The MAC addresses of the director and the router.
var ownMAC, routerMAC = [6]byte{2, 0, 0, 0, 0, 1}, [6]byte{2, 0, 0, 0, 0, 2}

func newProgram(t testing.TB) *program {
	t.Helper()
	spec, err := bpf.LoadL4()
	if err != nil {
		t.Fatal(err)
	}
	// Each is of a client of its own.
	spec.Maps[bpf.L4MapFlows4].MaxEntries, spec.Maps[bpf.L4MapFlows6].MaxEntries = 1024, 1024
	p := &program{TB: t}
	objects := struct {
		*bpf.L4Maps
		Program *ebpf.Program `ebpf:"portico_l4"`
	}{L4Maps: &p.L4Maps}
	if err := spec.LoadAndAssign(&objects, nil); err != nil {
		t.Fatalf("%+v", err)
	}
	p.Program = objects.Program
	t.Cleanup(func() { p.Program.Close(); p.L4Maps.Close() })
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	p.rows, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: mh.Size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.rows.Close() })
	p.put(p.Tables, uint32(1), p.rows)
	p.put(p.Interfaces, uint32(byHand), wireMAC(ownMAC))
	p.put(p.Fence, uint32(0), bpf.L4Fence{BeatNs: uint64(now.Nano()), LimitNs: uint64(time.Hour)})
	return p
}

func (p *program) put(m *ebpf.Map, key, value any) {
	p.Helper()
	if err := m.Put(key, value); err != nil {
		p.Fatal(m, key, err)
	}
}

func wireMAC(b [6]byte) (m bpf.L4Mac) {
	for i := range m.Word {
		m.Word[i] = binary.NativeEndian.Uint16(b[2*i:])
	}
	return m
}

// serve gives the program a service and its servers. Their ids are their
// places, from 1, and so are their MAC addresses.
func (p *program) serve(v l4.VirtualService, servers []mh.Dest, table []uint16) {
	p.Helper()
	p.states++
	const scheduled, resolved = 1, 4
	for i, s := range servers {
		b := bpf.L4Backend{Mac: wireMAC([6]byte{2, 1, 0, 0, byte(i >> 8), byte(i)}), Ifindex: byHand, Flags: resolved, Generation: p.states}
		if s.Weight > 0 {
			b.Flags |= scheduled
		}
		p.put(p.Backends, uint32(i+1), b)
	}
	rows, ids := make([]uint32, len(table)), make([]uint32, len(table))
	for i, place := range table {
		if rows[i] = uint32(i); place != mh.Empty {
			ids[i] = uint32(place) + 1
		}
	}
	if _, err := p.rows.BatchUpdate(rows, ids, nil); err != nil {
		p.Fatal(err)
	}

	key := bpf.L4ServiceKey{Port: v.Key.Addr.Port()<<8 | v.Key.Addr.Port()>>8, Protocol: uint8(v.Key.Protocol)}
	addr := v.Key.Addr.Addr().As16()
	for i := range key.Addr.Word {
		key.Addr.Word[i] = binary.NativeEndian.Uint32(addr[4*i:])
	}
	const port, fallback = 1, 2
	flags := uint32(0)
	if v.Flags&l4.FlagPort != 0 {
		flags |= port
	}
	if v.Flags&l4.FlagFallback != 0 {
		flags |= fallback
	}
	p.put(p.Services, key, bpf.L4Service{Id: 1, Flags: flags})
	p.put(p.Edition, uint32(0), uint64(p.states))
}

// choose returns the server that the program sends a client's first packet
// to, the zero one if it leaves it to IPVS; then, undecided says that it
// might have found one had it looked further.
func (p *program) choose(k l4.Key, servers []mh.Dest, client netip.AddrPort) (server netip.AddrPort, undecided bool) {
	p.Helper()
	frame := packet(append(ownMAC[:], routerMAC[:]...), k.Protocol, client, k.Addr)
	far := p.count(bpf.L4VerdictPASS_FAR)
	opts := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame))}
	action, err := p.Run(&opts)
	switch {
	case err != nil:
		p.Fatal(err)
	case action == xdpPass:
		return netip.AddrPort{}, p.count(bpf.L4VerdictPASS_FAR) > far
	case action != xdpTX:
		p.Fatalf("%v: action %d", client, action)
	}
	return servers[binary.BigEndian.Uint16(opts.DataOut[4:])].Addr, false
}

func (p *program) count(v bpf.L4Verdict) (n uint64) {
	p.Helper()
	var each []uint64
	if err := p.Verdicts.Lookup(uint32(v), &each); err != nil {
		p.Fatal(err)
	}
	for _, one := range each {
		n += one
	}
	return n
}
