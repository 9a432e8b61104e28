package bpf_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

// A pair is the program and its twin, with the same in their maps.
type pair struct {
	*world
	twin
}

// The services of every pair: each has seven servers, whose flags change.
var offered = []serviceKey{
	{vip4, protoTCP},
	{vip4, protoUDP},
	{netip.AddrPortFrom(vip4.Addr(), 80), protoTCP},
	{vip6, protoTCP},
	{vip6, protoUDP},
	{netip.AddrPortFrom(vip4.Addr(), 81), protoTCP}, // without servers
}

const servers = 7

func newPair(t testing.TB) *pair {
	p := &pair{world: load(t, tune(bpf.L4VarFloodRate, ^uint64(0))), twin: twin{
		services:   map[serviceKey]twinService{},
		interfaces: map[uint32]mac{loopback: director, other: second},
		peers:      map[mac]bool{peer: true},
		denied:     []netip.Prefix{netip.MustParsePrefix("198.51.100.128/25"), netip.MustParsePrefix("2001:db8:bad::/48")},
	}}
	for i, key := range offered {
		s := twinService{id: uint32(i + 1), first: uint32(1 + servers*i), flags: uint32(i) % 4}
		if key.vip.Port() != 81 {
			s.dests = make([]mh.Dest, servers)
		}
		var program []server
		for n := range s.dests {
			one := serverAt(n, key.vip, n)
			program, s.dests[n] = append(program, one), one.dest
		}
		if len(s.dests) > 0 {
			s.table = mh.Table(s.dests, p.rows)
		}
		p.services[key] = s
		p.serve(s.id, key.proto, key.vip, s.flags, s.first, program...)
	}
	for _, prefix := range p.twin.denied {
		p.deny(prefix, 0)
	}
	return p
}

// deny puts a prefix on the program's deny list.
func (w *world) deny(p netip.Prefix, until uint64) {
	w.Helper()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	w.put(w.Denied, bpf.L4DeniedKey{Prefix: uint32(bits), Addr: wireAddr(p.Addr())}, bpf.L4Denied{UntilNs: until})
	var f bpf.L4Fence
	if err := w.Fence.Lookup(uint32(0), &f); err != nil {
		w.Fatal(err)
	}
	f.Denying = 1
	w.put(w.Fence, uint32(0), f)
}

// shuffle gives the backends new flags and generations, and forgets all flows.
func (p *pair) shuffle(r *rand.Rand) {
	p.twin.backends = map[uint32]bpf.L4Backend{}
	for id := range uint32(servers * (len(offered) - 1)) {
		p.change(r, 1+id)
	}
	p.flows, p.fragments = map[flowKey]flow{}, map[fragmentKey]flow{}
	p.forget()
	empty(p.world, p.L4Maps.Fragments, bpf.L4FragmentKey{})
}

// change gives a backend flags, a VLAN, an interface and a generation.
func (p *pair) change(r *rand.Rand, id uint32) {
	b := bpf.L4Backend{Mac: wireMAC(macOf(id)), Ifindex: loopback, Generation: 1 + r.Uint32N(2)}
	for i, percent := range []int{70, 15, 85} { // scheduled, local, resolved
		if r.IntN(100) < percent {
			b.Flags |= 1 << i
		}
	}
	if r.IntN(4) == 0 {
		b.Ifindex = []uint32{other, 9}[r.IntN(2)]
	}
	if r.IntN(4) == 0 {
		b.Vlans = []uint32{5, 5<<12 | 6}[r.IntN(2)]
	}
	p.twin.backends[id] = b
	p.put(p.L4Maps.Backends, id, b)
}

// check runs one frame through both.
func (p *pair) check(frame []byte) {
	p.Helper()
	want, verdict := p.twin.run(frame)
	out, got := p.world.run(frame)
	if got != verdict || !bytes.Equal(out, want) {
		p.Fatalf("frame % x\ngot  % x %s\nwant % x %s", frame, out, got, want, verdict)
	}
}

// FuzzTwin compares the program with its twin: over a walk of frames that r
// makes up from the seed, and over one that the fuzzer does.
func FuzzTwin(f *testing.F) {
	p := newPair(f)
	for seed := range uint64(40) {
		f.Add(seed, fromClient(client4, vip4, ack))
	}
	f.Add(uint64(1), fromClient(client6, vip6, ack))
	f.Fuzz(func(t *testing.T, seed uint64, frame []byte) {
		p.world.TB = t
		r := rand.New(rand.NewPCG(seed, 0))
		p.shuffle(r)
		for range 25 {
			if r.IntN(10) == 0 {
				p.change(r, 1+r.Uint32N(servers*uint32(len(offered)-1)))
			}
			p.check(mangle(r, frameOf(r)))
		}
		if len(frame) >= 14 && len(frame) < 1500 {
			p.check(frame)
			p.check(frame)
		}
	})
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// client is one of few clients, so that flows and fragments meet.
func client(r *rand.Rand, v6 bool) netip.AddrPort {
	addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(4) * 50)})
	if v6 {
		addr = one(r, client6.Addr(), netip.MustParseAddr("2001:db8:bad::7"), netip.MustParseAddr("2001:db8:c::8"))
	}
	return netip.AddrPortFrom(addr, one[uint16](r, 20, 40000, 40001, uint16(r.Uint32())))
}

// frameOf makes a frame up: mostly one for a service.
func frameOf(r *rand.Rand) []byte {
	key := one(r, offered...)
	from, v6 := client(r, key.vip.Addr().Is6()), key.vip.Addr().Is6()
	if r.IntN(20) == 0 {
		key.vip = netip.AddrPortFrom(key.vip.Addr(), 99)
	}
	payload, proto := transport(r, from.Port(), key.vip.Port(), key.proto), key.proto
	src, dst := from.Addr(), key.vip.Addr()
	if r.IntN(6) == 0 {
		// A router speaks about the answer: its source and destination are turned.
		payload, proto = transport(r, key.vip.Port(), from.Port(), key.proto), protoICMP
		quoted := internet(r, dst, src, key.proto, payload[:one(r, 4, 8, len(payload))])
		if kind := one[byte](r, 1, 2, 3, 4, 11, 12, 128); v6 {
			proto, payload = protoICMPv6, icmp(kind, 0, quoted)
		} else {
			payload = icmp(kind, 4, quoted)
		}
		src = one(r, src, client(r, v6).Addr())
	}
	kind := uint16(typeIP4)
	if v6 {
		kind = typeIP6
	}
	frame := ether(one(r, director, director, director, director, director, second), one(r, router, router, router, router, peer), kind, internet(r, src, dst, proto, payload))
	for range max(0, r.IntN(5)-2) {
		frame = tagged(one[uint16](r, typeVLAN, typeQinQ), 0xe000|uint16(5+r.IntN(2)), frame)
	}
	return frame
}

func transport(r *rand.Rand, src, dst uint16, proto byte) []byte {
	if proto == protoTCP {
		return tcp(src, dst, one[byte](r, syn, ack, ack, ack|fin, rst, syn|ack, byte(r.Uint32())))
	}
	return udp(src, dst, 1, 2, 3)
}

// internet wraps a payload in IPv4, perhaps with options and a fragment, or in
// IPv6, perhaps with extension headers.
func internet(r *rand.Rand, src, dst netip.Addr, proto byte, payload []byte) []byte {
	fragment, id := r.IntN(4) == 0, 1+r.IntN(2)
	offset, more := 8*one[uint16](r, 0, 0, 1, 185), r.IntN(3) > 0
	if src.Is4() {
		var with []func([]byte)
		if r.IntN(3) == 0 {
			with = append(with, options(byte(r.IntN(11))))
		}
		if fragment {
			with = append(with, fragment4(uint16(id), offset, more))
		}
		return ip4(src, dst, proto, payload, with...)
	}
	for range max(0, r.IntN(9)-4) {
		next := one[byte](r, 0, 43, 51, 60)
		payload = extension(proto, byte(r.IntN(3)), payload)
		payload[3] = one[byte](r, 0, 0, 0, 0, 1) // segments left, where it is a routing header
		if next == 51 {
			payload[1] *= 2
		}
		proto = next
	}
	if fragment {
		payload, proto = fragment6(proto, uint32(id), offset, more, payload), 44
	}
	return ip6(src, dst, proto, payload)
}

// mangle damages one frame in four.
func mangle(r *rand.Rand, frame []byte) []byte {
	switch r.IntN(12) {
	case 0:
		frame = frame[:14+r.IntN(len(frame)-13)]
	case 1:
		for range 1 + r.IntN(3) {
			frame[12+r.IntN(len(frame)-12)] = byte(r.Uint32())
		}
	case 2:
		frame = append(frame, make([]byte, r.IntN(40))...) // Ethernet's padding
	}
	return frame
}
