package bpf_test

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

// A twin does what the program does, with plain Go and no thought of speed.
// Its clock stands still.
type twin struct {
	services   map[serviceKey]twinService
	backends   map[uint32]bpf.L4Backend
	flows      map[flowKey]flow
	fragments  map[fragmentKey]flow
	interfaces map[uint32]mac
	peers      map[mac]bool
	denied     []netip.Prefix
}

type serviceKey struct {
	vip   netip.AddrPort
	proto byte
}

type twinService struct {
	id, flags, first uint32
	dests            []mh.Dest
	table            []uint16
}

type flowKey struct {
	client  netip.AddrPort
	service uint32
}

type flow struct{ service, backend, generation uint32 }

type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	proto    byte
}

// A header is what a frame says, as its client would put it.
type header struct {
	vlans            uint32
	src, dst         netip.AddrPort
	proto, flags     byte
	first, later, v6 bool
	id               uint32
	related          bool
}

const (
	otherKind  = "pass_other"
	malformed  = "pass_malformed"
	noBackend  = "pass_no_backend"
	unresolved = "pass_unresolved"
)

func (w *twin) run(in []byte) (out []byte, verdict string) {
	h, verdict := parseFrame(in)
	if verdict != "" {
		return in, verdict
	}
	var f flow
	if h.later {
		f = w.fragments[h.fragment()]
		if b := w.backends[f.backend]; f.backend == 0 || b.Generation != f.generation {
			return in, "pass_fragment"
		}
	} else if _, ok := w.services[serviceKey{h.dst, h.proto}]; !ok {
		return in, "pass_no_service"
	}
	if verdict = w.guard(in, h); verdict != "" {
		if h.first {
			delete(w.fragments, h.fragment())
		}
		return in, verdict
	}
	if !h.later {
		f, verdict = w.choose(h)
	}
	out = in
	if verdict == "" {
		out, verdict = w.forward(in, h, f.backend)
	}
	if h.first {
		if delete(w.fragments, h.fragment()); verdict == "send" || verdict == "send_other" {
			f.generation = w.backends[f.backend].Generation
			w.fragments[h.fragment()] = f
		}
	}
	return out, verdict
}

func (h header) fragment() fragmentKey {
	if h.v6 {
		return fragmentKey{h.src.Addr(), h.dst.Addr(), h.id, 0}
	}
	return fragmentKey{h.src.Addr(), h.dst.Addr(), h.id, h.proto}
}

func (w *twin) guard(in []byte, h header) string {
	switch {
	case mac(in[:6]) != w.interfaces[loopback]:
		return "pass_not_ours"
	case w.peers[mac(in[6:12])]:
		return "pass_peer"
	case slices.ContainsFunc(w.denied, func(p netip.Prefix) bool { return p.Contains(h.src.Addr()) }):
		return "drop_denied"
	}
	return ""
}

func (w *twin) choose(h header) (flow, string) {
	s := w.services[serviceKey{h.dst, h.proto}]
	key := flowKey{h.src, s.id}
	have, known := w.flows[key]
	opens := h.proto == protoTCP && !h.related && h.flags&syn != 0 && h.flags&ack == 0
	if known && !opens && w.backends[have.backend].Generation == have.generation && have.generation != 0 {
		return have, ""
	}
	if h.src.Port() == 20 && !h.related {
		return flow{}, "pass_ftp_data"
	}
	var port uint16
	if s.flags&withPort != 0 {
		port = h.src.Port()
	}
	i, ok := mh.Pick(s.table, w.now(s), h.src.Addr(), port, s.flags&withFallback != 0)
	if !ok && s.flags&withFallback != 0 && len(s.table) > 0 {
		return flow{}, "pass_far" // the program does not walk to the end
	} else if !ok {
		return flow{}, noBackend
	}
	f := flow{s.id, s.first + uint32(i), w.backends[s.first+uint32(i)].Generation}
	if !h.related && (h.proto == protoUDP || h.flags&(rst|fin) == 0) {
		w.flows[key] = f
	}
	return f, ""
}

// now is the service's servers with the weights that they have by their flags.
func (w *twin) now(s twinService) []mh.Dest {
	dests := slices.Clone(s.dests)
	for i := range dests {
		dests[i].Weight = int(w.backends[s.first+uint32(i)].Flags & scheduled)
	}
	return dests
}

func (w *twin) forward(in []byte, h header, id uint32) ([]byte, string) {
	b := w.backends[id]
	own, known := w.interfaces[b.Ifindex]
	switch {
	case b.Flags&local != 0:
		return in, "pass_local"
	case b.Flags&resolved == 0:
		return in, unresolved
	case b.Vlans != h.vlans:
		return in, "pass_vlan"
	case !known:
		return in, unresolved
	}
	out := bytes.Clone(in)
	for i, word := range b.Mac.Word {
		le.PutUint16(out[2*i:], word)
	}
	copy(out[6:], own[:])
	if b.Ifindex == loopback {
		return out, "send"
	}
	return out, "send_other"
}

func parseFrame(b []byte) (h header, verdict string) {
	kind, b := be.Uint16(b[12:]), b[14:]
	for range 2 {
		if kind != typeVLAN && kind != typeQinQ {
			break
		}
		if len(b) < 4 {
			return h, malformed
		}
		h.vlans = h.vlans<<12 | uint32(be.Uint16(b)&0xfff)
		kind, b = be.Uint16(b[2:]), b[4:]
	}
	switch kind {
	case typeIP4:
		b, verdict = h.parse4(b, false)
	case typeIP6:
		b, verdict = h.parse6(b, false)
	case 0:
		return h, malformed
	default:
		return h, otherKind
	}
	if verdict != "" || h.later {
		return h, verdict
	}
	least := map[byte]int{protoTCP: 20, protoUDP: 8}
	switch n := least[h.proto]; {
	case n == 0:
		return h.parseError(b)
	case len(b) < n:
		return h, malformed
	case h.proto == protoTCP:
		h.flags = b[13]
	}
	h.setPorts(be.Uint16(b), be.Uint16(b[2:]))
	return h, ""
}

func (h *header) setPorts(src, dst uint16) {
	h.src = netip.AddrPortFrom(h.src.Addr(), src)
	h.dst = netip.AddrPortFrom(h.dst.Addr(), dst)
}

func (h *header) setAddrs(src, dst []byte) {
	s, _ := netip.AddrFromSlice(src)
	d, _ := netip.AddrFromSlice(dst)
	h.src, h.dst = netip.AddrPortFrom(s, 0), netip.AddrPortFrom(d, 0)
}

func (h *header) parse4(b []byte, quoted bool) ([]byte, string) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return nil, malformed
	}
	size, total := int(b[0]&15)*4, int(be.Uint16(b[2:]))
	if size < 20 || len(b) < size || (!quoted && (total < size || total > len(b))) {
		return nil, malformed
	}
	h.proto, h.id = b[9], uint32(le.Uint16(b[4:]))
	h.setAddrs(b[12:16], b[16:20])
	offset := be.Uint16(b[6:])
	h.later = offset&0x1fff != 0
	h.first = !h.later && offset&0x2000 != 0
	if !quoted {
		b = b[:total]
	}
	return b[size:], ""
}

func (h *header) parse6(b []byte, quoted bool) ([]byte, string) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return nil, malformed
	}
	next, payload, rest := b[6], int(be.Uint16(b[4:])), b[40:]
	if !quoted {
		if payload > len(rest) {
			return nil, malformed
		}
		rest = rest[:payload]
	}
	if h.setAddrs(b[8:24], b[24:40]); h.src.Addr().Is4In6() || h.dst.Addr().Is4In6() {
		return nil, otherKind
	}
	h.v6 = true
	for n := 0; slices.Contains([]byte{0, 43, 44, 51, 60}, next); n++ {
		size := 8
		switch {
		case n == 6:
			return nil, otherKind
		case len(rest) < 8:
			return nil, malformed
		}
		switch next {
		case 44:
			offset := be.Uint16(rest[2:])
			h.later, h.first = offset&^7 != 0, offset&^7 == 0 && offset&1 != 0
			if h.id = le.Uint32(rest[4:]); h.later {
				h.proto = rest[0]
				return nil, ""
			}
		case 51:
			size += 4 * int(rest[1])
		default:
			size += 8 * int(rest[1])
		}
		if next == 43 && rest[3] != 0 {
			return nil, otherKind
		}
		if size > len(rest) {
			return nil, malformed
		}
		next, rest = rest[0], rest[size:]
	}
	h.proto = next
	return rest, ""
}

// parseError reads an ICMP error, and is the packet that it answers.
func (h header) parseError(b []byte) (header, string) {
	errors4, errors6 := []byte{3, 11, 12}, []byte{1, 2, 3, 4}
	var errors []byte
	switch {
	case h.first:
	case !h.v6 && h.proto == protoICMP:
		errors = errors4
	case h.v6 && h.proto == protoICMPv6:
		errors = errors6
	}
	if errors == nil {
		return h, otherKind
	}
	if len(b) < 8 {
		return h, malformed
	}
	if !slices.Contains(errors, b[0]) {
		return h, otherKind
	}
	var q header
	var verdict string
	if h.v6 {
		b, verdict = q.parse6(b[8:], true)
	} else {
		b, verdict = q.parse4(b[8:], true)
	}
	switch {
	case verdict != "":
		return h, verdict
	case q.later, q.proto != protoTCP && q.proto != protoUDP:
		return h, otherKind
	case len(b) < 4:
		return h, malformed
	case q.src.Addr() != h.dst.Addr():
		return h, otherKind
	}
	return header{
		vlans: h.vlans, proto: q.proto, v6: h.v6, related: true,
		src: netip.AddrPortFrom(q.dst.Addr(), be.Uint16(b[2:])),
		dst: netip.AddrPortFrom(q.src.Addr(), be.Uint16(b)),
	}, ""
}
