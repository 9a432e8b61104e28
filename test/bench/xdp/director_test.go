package xdp_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

var service = netip.MustParseAddrPort("192.0.2.10:80")

// Flags of a backend and a service (bpf/maps.h).
const (
	scheduled, resolved    = 1, 4
	withPort, withFallback = 1, 2
)

var (
	ownMAC    = [6]byte{2, 0, 0, 0, 0, 1}
	routerMAC = [6]byte{2, 0, 0, 0, 0, 0xfe}
)

// A director is the program with one service of some servers.
type director struct {
	testing.TB
	bpf.L4Objects
}

// newDirector takes frames for own at the interface, and sends them out there.
// flows is how many the cache holds for one processor.
func newDirector(t testing.TB, own [6]byte, index, servers int, flows uint32, tune map[string]any) *director {
	t.Helper()
	spec, err := bpf.LoadL4()
	if err != nil {
		t.Fatal(err)
	}
	if flows > 0 {
		spec.Maps[bpf.L4MapFlows4].MaxEntries = flows * uint32(ebpf.MustPossibleCPU())
	}
	spec.Maps[bpf.L4MapFlows6].MaxEntries = 1 << 10 // none is measured
	for name, value := range tune {
		if err := spec.Variables[name].Set(value); err != nil {
			t.Fatal(err)
		}
	}
	d := &director{TB: t}
	if err := spec.LoadAndAssign(&d.L4Objects, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	d.put(d.Interfaces, uint32(index), mac(own))
	d.put(d.Fence, uint32(0), bpf.L4Fence{BeatNs: uint64(clock(unix.CLOCK_MONOTONIC)), LimitNs: uint64(time.Hour)})
	var dests []mh.Dest
	for i := range servers {
		dests = append(dests, server(i))
		d.put(d.Backends, uint32(i+1), bpf.L4Backend{
			Mac: mac([6]byte{2, 0xbe, 0, 0, byte(i >> 8), byte(i)}), Ifindex: uint32(index), Flags: scheduled | resolved, Generation: 1,
		})
	}
	d.table(dests)
	key := bpf.L4ServiceKey{Port: service.Port()<<8 | service.Port()>>8, Protocol: unix.IPPROTO_UDP}
	addr := service.Addr().As16()
	for i := range key.Addr.Word {
		key.Addr.Word[i] = binary.NativeEndian.Uint32(addr[4*i:])
	}
	d.put(d.Services, key, bpf.L4Service{Id: 1, Flags: withPort | withFallback})
	return d
}

// server is one of the service's.
func server(i int) mh.Dest {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	return mh.Dest{Addr: netip.AddrPortFrom(addr, service.Port()), Weight: 1, LastWeight: 1}
}

func (d *director) put(m *ebpf.Map, key, value any) {
	d.Helper()
	if err := m.Put(key, value); err != nil {
		d.Fatal(m, key, err)
	}
}

// table puts the service's table in place of the one that it has.
func (d *director) table(dests []mh.Dest) {
	d.Helper()
	rows := mh.Table(dests, mh.Size)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: uint32(len(rows))})
	if err != nil {
		d.Fatal(err)
	}
	defer m.Close()
	keys, ids := make([]uint32, len(rows)), make([]uint32, len(rows))
	for i, row := range rows {
		keys[i], ids[i] = uint32(i), uint32(row)+1
	}
	if _, err := m.BatchUpdate(keys, ids, nil); err != nil {
		d.Fatal(err)
	}
	d.put(d.Tables, uint32(1), m)
}

func mac(b [6]byte) (m bpf.L4Mac) {
	for i := range m.Word {
		m.Word[i] = binary.NativeEndian.Uint16(b[2*i:])
	}
	return m
}

// clock reads one of the kernel's; the program's is CLOCK_MONOTONIC.
func clock(id int32) time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts) // the clocks are there
	return time.Duration(ts.Nano())
}

// sent is how many frames the program sent so far.
func (d *director) sent() uint64 { return d.total(d.Verdicts, uint32(bpf.L4VerdictSEND)) }

// remembered is how many flows it put into the cache.
func (d *director) remembered() uint64 { return d.total(d.Events, uint32(bpf.L4EventFLOW_NEW)) }

func (d *director) total(m *ebpf.Map, key uint32) (n uint64) {
	d.Helper()
	var each []uint64
	if err := m.Lookup(key, &each); err != nil {
		d.Fatal(err)
	}
	for _, one := range each {
		n += one
	}
	return n
}

// verdicts says what became of frames, for who expected something else.
func (d *director) verdicts() string {
	spec, err := bpf.LoadL4()
	if err != nil {
		d.Fatal(err)
	}
	names, err := bpf.Names(spec, "verdict")
	if err != nil {
		d.Fatal(err)
	}
	var text []string
	for i, name := range names {
		if n := d.total(d.Verdicts, uint32(i)); n > 0 {
			text = append(text, fmt.Sprintf("%s %d", name, n))
		}
	}
	return fmt.Sprint(text)
}

// memory is what a map holds of the kernel's, in bytes; nothing where the
// kernel does not tell, as of a trie that is empty.
func memory(t testing.TB, m *ebpf.Map) uint64 {
	t.Helper()
	info, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	bytes, _ := info.Memlock()
	return bytes
}

// median of an odd number of measurements.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// onOneCPU keeps the calling thread, which is locked, on one processor.
func onOneCPU(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	var have, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &have); err != nil {
		t.Fatal(err)
	}
	for i := range 1024 {
		if have.IsSet(i) {
			one.Set(i)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.SchedSetaffinity(0, &have); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
}
