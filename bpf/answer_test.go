package bpf_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/bpf"
)

// Options of TCP.
var (
	optMSS        = []byte{2, 4, 0x05, 0xb4}
	optSACK       = []byte{4, 2}
	optTimestamps = []byte{8, 10, 1, 2, 3, 4, 0, 0, 0, 0}
	optWscale     = []byte{3, 3, 7}
	optNop        = []byte{1}
	usual         = slices.Concat(optMSS, optSACK, optTimestamps, optNop, optWscale)
)

// opening is the TCP header of a SYN with options, filled up to whole words.
func opening(flags byte, options ...byte) []byte {
	h := tcp(40000, 443, flags)
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	be.PutUint32(h[4:], 0xfffffffe)
	h[12] = byte(5+len(options)/4) << 4
	return append(h, options...)
}

// A wire is an edge whose frames are handed to the program one by one.
type wire struct {
	*cookieWorld
	edge, client mac
	// inside runs functions in the edge's network.
	inside chan func()
}

func newWire(t testing.TB) *wire {
	w := &wire{cookieWorld: withCookies(t), inside: make(chan func())}
	go w.cookieWorld.edge.Do(func() {
		for do := range w.inside {
			do()
		}
	})
	t.Cleanup(func() { close(w.inside) })
	w.listen("tcp", ":443", false)
	hardware := func() net.HardwareAddr {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		return i.HardwareAddr
	}
	w.cookieWorld.edge.Do(func() { w.edge = mac(hardware()) })
	w.cookieWorld.client.Do(func() { w.client = mac(hardware()) })
	for _, a := range []string{guest4, guest6} {
		w.cookieWorld.edge.Output("ip", "neigh", "replace", a, "lladdr", net.HardwareAddr(w.client[:]).String(), "dev", "eth0", "nud", "permanent")
	}
	return w
}

// frame wraps an IP packet for the edge.
func (w *wire) frame(from mac, packet []byte) []byte {
	kind := uint16(typeIP4)
	if packet[0]>>4 == 6 {
		kind = typeIP6
	}
	return ether(w.edge, from, kind, packet)
}

// ask runs a frame as if it came by eth0, and returns what was sent back; nil if
// it passed, unchanged.
func (w *wire) ask(frame []byte) (out []byte) {
	w.Helper()
	md := struct{ Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32 }{DataEnd: uint32(len(frame)), Ingress: uint32(w.index)}
	opts := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256), Context: md}
	var action uint32
	var err error
	done := make(chan struct{})
	w.inside <- func() {
		action, err = w.PorticoL4.Run(&opts)
		close(done)
	}
	<-done
	switch {
	case err != nil:
		w.Fatal(err)
	case action == 3: // XDP_TX
		return opts.DataOut
	case action != 2 || !bytes.Equal(opts.DataOut, frame):
		w.Fatalf("action %d\nin  % x\nout % x", action, frame, opts.DataOut)
	}
	return nil
}

// sum is the ones' complement sum of RFC 1071.
func sum16(parts ...[]byte) uint16 {
	b := slices.Concat(parts...)
	n := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		n += uint32(be.Uint16(b[i:]))
	}
	for n>>16 > 0 {
		n = n&0xffff + n>>16
	}
	return uint16(n)
}

// sound checks an answer against what it answers, and returns its options.
func (w *wire) sound(in, out []byte) (options []byte, err error) {
	if len(out) < 60 || !bytes.Equal(out[:12], slices.Concat(w.client[:], w.edge[:])) || !bytes.Equal(out[12:14], in[12:14]) {
		return nil, fmt.Errorf("Ethernet")
	}
	was, ip := in[14:], out[14:]
	var pseudo []byte
	at := 20
	if was[0]>>4 == 4 {
		if ip[0] != 0x45 || ip[9] != protoTCP || sum16(ip[:20]) != 0xffff || !bytes.Equal(ip[12:20], slices.Concat(was[16:20], was[12:16])) {
			return nil, fmt.Errorf("IPv4")
		}
		ip, pseudo = ip[:be.Uint16(ip[2:])], ip[12:20]
	} else {
		at = 40
		if ip[0]>>4 != 6 || ip[6] != protoTCP || !bytes.Equal(ip[8:40], slices.Concat(was[24:40], was[8:24])) {
			return nil, fmt.Errorf("IPv6")
		}
		ip, pseudo = ip[:40+be.Uint16(ip[4:])], ip[8:40]
	}
	syn, t := was[at:], ip[at:]
	switch {
	case sum16(pseudo, []byte{0, protoTCP}, be.AppendUint16(nil, uint16(len(t))), t) != 0xffff:
		return nil, fmt.Errorf("the checksum")
	case !bytes.Equal(t[:4], slices.Concat(syn[2:4], syn[:2])) || be.Uint32(t[8:]) != be.Uint32(syn[4:])+1:
		return nil, fmt.Errorf("ports or number")
	case t[13] != 0x12 || int(t[12]>>4)*4 != len(t):
		return nil, fmt.Errorf("flags or length")
	}
	return t[20:], nil
}

func TestCookieAnswers(t *testing.T) {
	w := newWire(t)
	at4, at6 := client4.Addr(), client6.Addr()
	plain := func(segment []byte) []byte { return w.frame(w.client, ip4(at4, vip4.Addr(), protoTCP, segment)) }
	over6 := func(segment []byte) []byte { return w.frame(w.client, ip6(at6, vip6.Addr(), protoTCP, segment)) }
	short := func(mss uint16) func([]byte) error {
		return func(o []byte) error {
			if !bytes.Equal(o, be.AppendUint16([]byte{2, 4}, mss)) {
				return fmt.Errorf("options % x", o)
			}
			return nil
		}
	}
	timed := func(mss uint16, low byte, rest ...byte) func([]byte) error {
		if w.admit == nil { // the kernel would not read them
			return short(mss)
		}
		return func(o []byte) error {
			want := slices.Concat([]byte{2, 4}, be.AppendUint16(nil, mss), rest[:2], []byte{8, 10}, o[8:11], []byte{low}, []byte{1, 2, 3, 4}, rest[2:])
			if !bytes.Equal(o, want) {
				return fmt.Errorf("options % x, want % x", o, want)
			}
			return nil
		}
	}
	for _, tt := range []struct {
		name   string
		in     []byte
		answer func(options []byte) error // nil: it passes
		before func()
	}{
		{name: "all options", in: plain(opening(syn, usual...)), answer: timed(1460, 3<<6|1<<4|7, 4, 2, 1, 3, 3, 7)},
		{name: "all options, IPv6", in: over6(opening(syn, usual...)), answer: timed(1440, 2<<6|1<<4|7, 4, 2, 1, 3, 3, 7)},
		{name: "timestamps alone", in: plain(opening(syn, optTimestamps...)), answer: timed(1460, 15, 1, 1, 1, 1, 1, 1)},
		{name: "a shift that is too large", in: plain(opening(syn, slices.Concat(optTimestamps, []byte{3, 3, 15})...)), answer: timed(1460, 14, 1, 1, 1, 3, 3, 7)},
		{name: "a tunnel's MSS", in: plain(opening(syn, slices.Concat([]byte{2, 4, 5, 0x50}, optTimestamps)...)), answer: timed(1460, 1<<6|15, 1, 1, 1, 1, 1, 1)},
		{name: "no options", in: plain(opening(syn)), answer: short(1460)},
		{name: "no options, IPv6", in: over6(opening(syn)), answer: short(1440)},
		{name: "no timestamps", in: plain(opening(syn, slices.Concat(optMSS, optSACK, optWscale)...)), answer: short(1460)},
		{name: "unknown options", in: plain(opening(syn, 253, 4, 1, 1, 34, 2)), answer: short(1460)},
		{name: "forty times nothing", in: plain(opening(syn, bytes.Repeat(optNop, 40)...)), answer: short(1460)},
		{name: "padding of Ethernet", in: append(plain(opening(syn)), 1, 2, 3, 4, 5, 6), answer: short(1460)},
		{name: "data", in: plain(append(opening(syn), "GET /"...)), answer: short(1460)},
		{name: "congestion notification", in: plain(opening(syn | 0xc0)), answer: short(1460)},

		{name: "a segment of a connection", in: plain(opening(ack))},
		{name: "an answer", in: plain(opening(syn | ack))},
		{name: "SYN and FIN", in: plain(opening(syn | fin))},
		{name: "SYN and RST", in: plain(opening(syn | rst))},
		{name: "an option of no length", in: plain(opening(syn, 2, 0, 0, 0))},
		{name: "an option beyond the header", in: plain(opening(syn, 1, 1, 8, 10))},
		{name: "an option at the very end", in: plain(opening(syn, 1, 1, 1, 2))},
		{name: "an MSS of another length", in: plain(opening(syn, 2, 6, 5, 0xb4, 0, 0))},
		{name: "a header beyond the packet", in: plain(func() []byte { h := opening(syn); h[12] = 6 << 4; return h }())},
		{name: "a header of 16 bytes", in: plain(func() []byte { h := opening(syn); h[12] = 4 << 4; return h }())},
		{name: "IPv4 options", in: w.frame(w.client, ip4(at4, vip4.Addr(), protoTCP, opening(syn), options(1)))},
		{name: "an extension header", in: w.frame(w.client, ip6(at6, vip6.Addr(), 60, extension(protoTCP, 0, opening(syn))))},
		{name: "a fragment", in: w.frame(w.client, ip4(at4, vip4.Addr(), protoTCP, opening(syn), fragment4(7, 0, true)))},
		{name: "a VLAN", in: tagged(typeVLAN, 5, plain(opening(syn)))},
		{name: "datagram", in: w.frame(w.client, ip4(at4, vip4.Addr(), protoUDP, udp(40000, 443)))},
		{name: "another port", in: w.frame(w.client, ip4(at4, vip4.Addr(), protoTCP, tcp(40000, 444, syn)))},
		{name: "from nowhere", in: w.frame(w.client, ip4(netip.MustParseAddr("0.0.0.0"), vip4.Addr(), protoTCP, opening(syn)))},
		{name: "from nowhere, IPv6", in: w.frame(w.client, ip6(netip.IPv6Unspecified(), vip6.Addr(), protoTCP, opening(syn)))},
		{name: "from loopback", in: w.frame(w.client, ip4(netip.MustParseAddr("127.0.0.2"), vip4.Addr(), protoTCP, opening(syn)))},
		{name: "from a broadcast", in: w.frame(w.client, ip4(netip.MustParseAddr("10.7.0.255"), vip4.Addr(), protoTCP, opening(syn)))},
		{name: "from loopback, IPv6", in: w.frame(w.client, ip6(netip.IPv6Loopback(), vip6.Addr(), protoTCP, opening(syn)))},
		{name: "from a group, IPv6", in: w.frame(w.client, ip6(netip.MustParseAddr("ff02::1"), vip6.Addr(), protoTCP, opening(syn)))},
		{name: "from a link, IPv6", in: w.frame(w.client, ip6(netip.MustParseAddr("fe80::77"), vip6.Addr(), protoTCP, opening(syn)))},
		{name: "from a group", in: w.frame(w.client, ip4(netip.MustParseAddr("224.0.0.1"), vip4.Addr(), protoTCP, opening(syn)))},
		{name: "from itself", in: w.frame(w.client, ip4(vip4.Addr(), vip4.Addr(), protoTCP, opening(syn)))},
		{name: "from a neighbour that nobody knows", in: w.frame(w.client, ip4(netip.MustParseAddr("10.7.0.77"), vip4.Addr(), protoTCP, opening(syn)))},
		{name: "for another host", in: ether(director, w.client, typeIP4, ip4(at4, vip4.Addr(), protoTCP, opening(syn)))},

		{name: "from a peer", in: w.frame(peer, ip4(at4, vip4.Addr(), protoTCP, opening(syn))), answer: short(1460)},
		{name: "within the allowance", in: plain(opening(syn)), before: func() { w.put(w.Listeners, listenerKey(vip4), bpf.L4Listener{}) }},
		{name: "a port that refuses", in: plain(opening(syn)), before: func() {
			w.put(w.Listeners, listenerKey(vip4), bpf.L4Listener{DueNs: now() + 3600e9, Refused: 1})
		}},
		{name: "a port without cookies", in: plain(opening(syn)), before: func() { empty(w.world, w.Listeners, bpf.L4ServiceKey{}) }},
		{name: "not owned", in: plain(opening(syn)), before: w.disown},
		{name: "not owned, from a peer", in: w.frame(peer, ip4(at4, vip4.Addr(), protoTCP, opening(syn))), answer: short(1460), before: w.disown},
		{name: "not owned, from a peer, fenced", in: w.frame(peer, ip4(at4, vip4.Addr(), protoTCP, opening(syn))), before: func() {
			w.disown()
			w.put(w.Fence, uint32(0), bpf.L4Fence{})
		}},
		{name: "another node's", in: plain(opening(syn)), before: func() {
			backend(1, flags(scheduled))(w.world)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			w.reset()
			if tt.before != nil {
				tt.before()
			}
			out := w.ask(tt.in)
			if out == nil || tt.answer == nil {
				if out != nil || tt.answer != nil {
					t.Errorf("sent % x", out)
				}
				return
			}
			options, err := w.sound(tt.in, out)
			if err == nil {
				err = tt.answer(options)
			}
			if err != nil {
				t.Errorf("%v\nin  % x\nout % x", err, tt.in, out)
			}
		})
	}
}

// reset owns both addresses, whose ports have used their allowance up.
func (w *wire) reset() {
	w.live()
	for id, vip := range []netip.AddrPort{vip4, vip6} {
		w.serve(uint32(id+1), protoTCP, vip, withPort, uint32(id+1), serverAt(1, vip, 1))
		backend(uint32(id+1), flags(scheduled|local))(w.world)
		w.flood(vip)
	}
}

// disown leaves the addresses to another node.
func (w *wire) disown() { empty(w.world, w.Services, bpf.L4ServiceKey{}) }

// FuzzCookie changes frames at random: an answer is sound, and goes to a SYN.
func FuzzCookie(f *testing.F) {
	w := newWire(f)
	w.reset()
	over4 := w.frame(w.client, ip4(client4.Addr(), vip4.Addr(), protoTCP, opening(syn, usual...)))
	over6 := w.frame(peer, ip6(client6.Addr(), vip6.Addr(), protoTCP, opening(syn, usual...)))
	for seed := range uint64(20) {
		f.Add(seed, over4)
		f.Add(seed, over6)
	}
	f.Fuzz(func(t *testing.T, seed uint64, frame []byte) {
		if len(frame) < 14 || len(frame) > 1514 {
			return
		}
		w.TB = t
		r := rand.New(rand.NewPCG(seed, 0))
		for range 50 {
			out := w.ask(frame)
			if out != nil && !isOpening(frame) {
				t.Fatalf("answered % x", frame)
			}
			if out != nil {
				if _, err := w.sound(frame, out); err != nil {
					t.Fatalf("%v\nin  % x\nout % x", err, frame, out)
				}
			}
			frame = bytes.Clone(frame)
			if at := 12 + r.IntN(len(frame)-12); r.IntN(8) > 0 {
				frame[at] = byte(r.Uint32())
			} else if len(frame) > 20 {
				frame = frame[:len(frame)-1]
			}
		}
	})
}

// isOpening tells whether a frame is a whole SYN with options that make sense.
func isOpening(frame []byte) bool {
	kind, p := be.Uint16(frame[12:]), frame[14:]
	switch {
	case kind == typeIP4 && len(p) >= 40 && p[0] == 0x45 && p[9] == protoTCP && be.Uint16(p[6:])&0x3fff == 0 && int(be.Uint16(p[2:])) <= len(p) && be.Uint16(p[2:]) >= 40:
		p = p[20:be.Uint16(p[2:])]
	case kind == typeIP6 && len(p) >= 60 && p[0]>>4 == 6 && p[6] == protoTCP && 40+int(be.Uint16(p[4:])) <= len(p) && be.Uint16(p[4:]) >= 20:
		p = p[40 : 40+be.Uint16(p[4:])]
	default:
		return false
	}
	header := int(p[12]>>4) * 4
	if header < 20 || header > len(p) || p[13]&0x17 != syn {
		return false
	}
	for o := p[20:header]; len(o) > 0; {
		switch {
		case o[0] == 0:
			return true
		case o[0] == 1:
			o = o[1:]
		case len(o) < 2 || o[1] < 2 || int(o[1]) > len(o):
			return false
		default:
			if want := map[byte]byte{2: 4, 3: 3, 4: 2, 8: 10}[o[0]]; want != 0 && want != o[1] {
				return false
			}
			o = o[o[1]:]
		}
	}
	return true
}
