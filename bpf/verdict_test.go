package bpf_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/portico-lb/portico/bpf"
)

// nobody is an address without a service.
var nobody = netip.MustParseAddrPort("192.0.2.101:443")

// limited loads the program with a limit of one SYN an hour.
func limited(t testing.TB) *world { return load(t, tune(bpf.L4VarSynIntervalNs, uint64(time.Hour))) }

// plain makes w a world with four services of one backend each: tcp and udp,
// IPv4 and IPv6. Their ids and their backends' are 1 to 4.
func (w *world) plain() *world {
	w.Helper()
	empty(w, w.Peers, bpf.L4Mac{})
	empty(w, w.Services, bpf.L4ServiceKey{})
	w.forget()
	empty(w, w.Fragments, bpf.L4FragmentKey{})
	empty(w, w.Syns, bpf.L4Address{})
	empty(w, w.Denied, bpf.L4DeniedKey{})
	w.live()
	for i, key := range []serviceKey{{vip4, protoTCP}, {vip4, protoUDP}, {vip6, protoTCP}, {vip6, protoUDP}} {
		w.serve(uint32(i+1), key.proto, key.vip, withPort|withFallback, uint32(i+1), serverAt(i+1, key.vip, 1))
	}
	return w
}

// backend changes a backend of the plain world.
func backend(id uint32, change func(*bpf.L4Backend)) func(*world) {
	return func(w *world) {
		var b bpf.L4Backend
		if err := w.Backends.Lookup(id, &b); err != nil {
			w.Fatal(err)
		}
		change(&b)
		w.put(w.Backends, id, b)
	}
}

func flags(f uint32) func(*bpf.L4Backend) { return func(b *bpf.L4Backend) { b.Flags = f } }

// after runs frames first.
func after(frames ...[]byte) func(*world) {
	return func(w *world) {
		for _, f := range frames {
			w.run(f)
		}
	}
}

// all prepares by several functions.
func all(fs ...func(*world)) func(*world) {
	return func(w *world) {
		for _, f := range fs {
			f(w)
		}
	}
}

func v4(proto byte, payload []byte, with ...func([]byte)) []byte {
	return ether(director, router, typeIP4, ip4(client4.Addr(), vip4.Addr(), proto, payload, with...))
}

func v6(next byte, payload []byte) []byte {
	return ether(director, router, typeIP6, ip6(client6.Addr(), vip6.Addr(), next, payload))
}

func TestVerdicts(t *testing.T) {
	var (
		plainTCP  = tcp(40000, 443, ack)
		plainUDP  = udp(40000, 443, 'h', 'i')
		at4, at6  = client4.Addr(), client6.Addr()
		hop       = netip.MustParseAddr("203.0.113.1")
		hop6      = netip.MustParseAddr("2001:db8:f::1")
		answer    = ip4(vip4.Addr(), at4, protoTCP, tcp(443, 40000, ack))
		answer6   = ip6(vip6.Addr(), at6, protoUDP, udp(443, 40000))
		beyond    = ip4(at4, nobody.Addr(), protoTCP, plainTCP)
		firstOf4  = v4(protoUDP, plainUDP, fragment4(7, 0, true))
		laterOf4  = v4(protoUDP, []byte("later"), fragment4(7, 1480, false))
		firstOf6  = v6(44, fragment6(protoUDP, 7, 0, true, plainUDP))
		laterOf6  = v6(44, fragment6(protoUDP, 7, 1480, false, []byte("later")))
		fromRoute = func(src netip.Addr, message []byte) []byte {
			if src.Is4() {
				return ether(director, router, typeIP4, ip4(src, vip4.Addr(), protoICMP, message))
			}
			return ether(director, router, typeIP6, ip6(src, vip6.Addr(), protoICMPv6, message))
		}
	)
	tests := []struct {
		name    string
		prepare func(*world)
		in      []byte
		verdict string
		to      uint32 // id of the backend that gets it
	}{
		{name: "tcp", in: v4(protoTCP, plainTCP), verdict: "send", to: 1},
		{name: "udp", in: v4(protoUDP, plainUDP), verdict: "send", to: 2},
		{name: "tcp over IPv6", in: v6(protoTCP, plainTCP), verdict: "send", to: 3},
		{name: "udp over IPv6", in: v6(protoUDP, plainUDP), verdict: "send", to: 4},
		{name: "padded", in: append(v4(protoTCP, plainTCP), 0, 0, 0, 0, 0, 0), verdict: "send", to: 1},
		{name: "syn", in: fromClient(client4, vip4, syn), verdict: "send", to: 1},
		{name: "reset", in: fromClient(client4, vip4, rst), verdict: "send", to: 1},

		{name: "arp", in: ether(director, router, 0x0806, make([]byte, 46)), verdict: "pass_other"},
		{name: "ping", in: fromRoute(at4, icmp(8, 0, nil)), verdict: "pass_other"},
		{name: "sctp", in: v4(132, plainTCP), verdict: "pass_other"},
		{name: "neighbour advertisement", in: fromRoute(at6, icmp(136, 0, make([]byte, 16))), verdict: "pass_other"},
		{name: "another port", in: v4(protoTCP, tcp(40000, 444, ack)), verdict: "pass_no_service"},
		{name: "another protocol", prepare: func(w *world) {
			if err := w.Services.Delete(bpf.L4ServiceKey{Addr: wireAddr(vip4.Addr()), Port: wirePort(443), Protocol: protoUDP}); err != nil {
				w.Fatal(err)
			}
		}, in: v4(protoUDP, plainUDP), verdict: "pass_no_service"},
		{name: "another address", in: ether(director, router, typeIP4, beyond), verdict: "pass_no_service"},
		{name: "IPv4 in IPv6", in: ether(director, router, typeIP6, ip6(netip.AddrFrom16(at4.As16()), netip.AddrFrom16(vip4.Addr().As16()), protoTCP, plainTCP)), verdict: "pass_other"},

		{name: "version 5", in: v4(protoTCP, plainTCP, func(h []byte) { h[0] = 0x55 }), verdict: "pass_malformed"},
		{name: "header of 16 bytes", in: ether(director, router, typeIP4, append([]byte{0x44}, make([]byte, 39)...)), verdict: "pass_malformed"},
		{name: "longer than the frame", in: v4(protoTCP, plainTCP)[:14+20+19], verdict: "pass_malformed"},
		{name: "ports in the padding", in: append(v4(protoTCP, plainTCP[:8]), plainTCP[8:]...), verdict: "pass_malformed"},

		{name: "one tag", prepare: backend(1, func(b *bpf.L4Backend) { b.Vlans = 5 }), in: tagged(typeVLAN, 0xe005, v4(protoTCP, plainTCP)), verdict: "send", to: 1},
		{name: "two tags", prepare: backend(3, func(b *bpf.L4Backend) { b.Vlans = 9<<12 | 5 }), in: tagged(typeQinQ, 9, tagged(typeVLAN, 5, v6(protoTCP, plainTCP))), verdict: "send", to: 3},
		{name: "three tags", in: tagged(typeQinQ, 9, tagged(typeVLAN, 5, tagged(typeVLAN, 5, v4(protoTCP, plainTCP)))), verdict: "pass_other"},
		{name: "priority tag", in: tagged(typeVLAN, 0x6000, v4(protoTCP, plainTCP)), verdict: "send", to: 1},
		{name: "another VLAN", prepare: backend(1, func(b *bpf.L4Backend) { b.Vlans = 6 }), in: tagged(typeVLAN, 5, v4(protoTCP, plainTCP)), verdict: "pass_vlan"},
		{name: "untagged to a VLAN", prepare: backend(1, func(b *bpf.L4Backend) { b.Vlans = 6 }), in: v4(protoTCP, plainTCP), verdict: "pass_vlan"},

		{name: "options", in: v4(protoTCP, plainTCP, options(10)), verdict: "send", to: 1},
		{name: "hop-by-hop and destination options", in: v6(0, extension(60, 1, extension(protoTCP, 2, plainTCP))), verdict: "send", to: 3},
		{name: "authentication header", in: v6(51, append(append([]byte{protoUDP, 4}, make([]byte, 22)...), plainUDP...)), verdict: "send", to: 4},
		{name: "routing header at its end", in: v6(43, extension(protoTCP, 0, plainTCP)), verdict: "send", to: 3},
		{name: "routing header on its way", in: v6(43, append([]byte{protoTCP, 0, 0, 1, 0, 0, 0, 0}, plainTCP...)), verdict: "pass_other"},
		{name: "six extension headers", in: v6(0, chain(6, protoTCP, plainTCP)), verdict: "send", to: 3},
		{name: "seven extension headers", in: v6(0, chain(7, protoTCP, plainTCP)), verdict: "pass_other"},
		{name: "ESP", in: v6(50, plainTCP), verdict: "pass_other"},

		{name: "first fragment", in: firstOf4, verdict: "send", to: 2},
		{name: "later fragment", prepare: after(firstOf4), in: laterOf4, verdict: "send", to: 2},
		{name: "later fragment alone", in: laterOf4, verdict: "pass_fragment"},
		{name: "later fragment of another datagram", prepare: after(firstOf4), in: v4(protoUDP, nil, fragment4(8, 1480, false)), verdict: "pass_fragment"},
		{name: "later fragment of another protocol", prepare: after(firstOf4), in: v4(protoTCP, nil, fragment4(7, 1480, false)), verdict: "pass_fragment"},
		{name: "later fragment at 32 KiB", in: v4(protoUDP, nil, fragment4(7, 32768, false)), verdict: "pass_fragment"},
		{name: "later fragment of a datagram that passed", prepare: all(after(firstOf4), backend(2, flags(scheduled)), after(firstOf4), backend(2, flags(scheduled|resolved))), in: laterOf4, verdict: "pass_fragment"},
		{name: "later fragment to a backend that went", prepare: all(after(firstOf4), backend(2, func(b *bpf.L4Backend) { b.Generation++ })), in: laterOf4, verdict: "pass_fragment"},
		{name: "later fragment too late", prepare: all(after(firstOf4), func(w *world) {
			var key bpf.L4FragmentKey
			var f bpf.L4Fragment
			w.Fragments.Iterate().Next(&key, &f)
			f.SeenNs -= uint64(31 * time.Second)
			w.put(w.Fragments, key, f)
		}), in: laterOf4, verdict: "pass_fragment"},
		{name: "later fragment from a peer", prepare: after(firstOf4), in: append(append(bytes.Clone(director[:]), peer[:]...), laterOf4[12:]...), verdict: "pass_peer"},
		{name: "first fragment, IPv6", in: firstOf6, verdict: "send", to: 4},
		{name: "later fragment, IPv6", prepare: after(firstOf6), in: laterOf6, verdict: "send", to: 4},
		{name: "later fragment alone, IPv6", in: laterOf6, verdict: "pass_fragment"},
		{name: "only fragment, IPv6", in: v6(44, fragment6(protoTCP, 7, 0, false, plainTCP)), verdict: "send", to: 3},

		{name: "fragmentation needed", in: fromRoute(hop, icmp(3, 4, answer)), verdict: "send", to: 1},
		{name: "fragmentation needed, 8 bytes quoted", in: fromRoute(hop, icmp(3, 4, answer[:28])), verdict: "send", to: 1},
		{name: "port unreachable", in: fromRoute(at4, icmp(3, 3, answer)), verdict: "send", to: 1},
		{name: "time exceeded", in: fromRoute(hop, icmp(11, 0, answer)), verdict: "send", to: 1},
		{name: "redirect", in: fromRoute(hop, icmp(5, 0, answer)), verdict: "pass_other"},
		{name: "error quotes 3 bytes", in: fromRoute(hop, icmp(3, 4, answer[:23])), verdict: "pass_malformed"},
		{name: "error about a foreign packet", in: fromRoute(hop, icmp(3, 4, ip4(nobody.Addr(), at4, protoTCP, tcp(443, 40000, ack)))), verdict: "pass_other"},
		{name: "error about another port", in: fromRoute(hop, icmp(3, 4, ip4(vip4.Addr(), at4, protoTCP, tcp(444, 40000, ack)))), verdict: "pass_no_service"},
		{name: "packet too big", in: fromRoute(hop6, icmp(2, 0, answer6)), verdict: "send", to: 4},
		{name: "packet too big, quoting extensions", in: fromRoute(hop6, icmp(2, 0, ip6(vip6.Addr(), at6, 60, extension(protoUDP, 1, udp(443, 40000))))), verdict: "send", to: 4},
		{name: "parameter problem", in: fromRoute(at6, icmp(4, 0, answer6)), verdict: "send", to: 4},

		{name: "fenced", prepare: func(w *world) {
			w.put(w.Fence, uint32(0), bpf.L4Fence{BeatNs: now() - uint64(3*time.Second), LimitNs: uint64(2 * time.Second)})
		}, in: v4(protoTCP, plainTCP), verdict: "pass_fenced"},
		{name: "never alive", prepare: func(w *world) { w.put(w.Fence, uint32(0), bpf.L4Fence{}) }, in: v4(protoTCP, plainTCP), verdict: "pass_fenced"},
		{name: "beat ahead of the coarse clock", prepare: func(w *world) {
			w.put(w.Fence, uint32(0), bpf.L4Fence{BeatNs: now() + uint64(10*time.Millisecond), LimitNs: uint64(2 * time.Second)})
		}, in: v4(protoTCP, plainTCP), verdict: "send", to: 1},
		{name: "flooded by a switch", in: ether(second, router, typeIP4, ip4(at4, vip4.Addr(), protoTCP, plainTCP)), verdict: "pass_not_ours"},
		{name: "broadcast", in: ether(mac{255, 255, 255, 255, 255, 255}, router, typeIP4, ip4(at4, vip4.Addr(), protoTCP, plainTCP)), verdict: "pass_not_ours"},
		{name: "foreign interface", prepare: func(w *world) { w.put(w.Interfaces, uint32(loopback), bpf.L4Mac{}) }, in: ether(mac{}, router, typeIP4, ip4(at4, vip4.Addr(), protoTCP, plainTCP)), verdict: "pass_not_ours"},
		{name: "from a peer", in: ether(director, peer, typeIP4, ip4(at4, vip4.Addr(), protoTCP, plainTCP)), verdict: "pass_peer"},
		{name: "from a peer that was a stranger a second ago", prepare: func(w *world) {
			w.run(v4(protoTCP, plainTCP))
			w.put(w.Peers, wireMAC(router), uint8(0))
			var cpus []bpf.L4Cpu
			if err := w.Cpus.Lookup(uint32(0), &cpus); err != nil {
				w.Fatal(err)
			}
			for i := range cpus {
				cpus[i].RouterNs -= uint64(time.Second)
			}
			w.put(w.Cpus, uint32(0), cpus)
		}, in: v4(protoTCP, plainTCP), verdict: "pass_peer"},
		{name: "denied", prepare: func(w *world) { w.deny(netip.MustParsePrefix("198.51.100.0/24"), 0) }, in: v4(protoTCP, plainTCP), verdict: "drop_denied"},
		{name: "denied until later", prepare: func(w *world) {
			w.deny(netip.MustParsePrefix("2001:db8:c::/48"), now()+uint64(time.Hour))
		}, in: v6(protoTCP, plainTCP), verdict: "drop_denied"},
		{name: "denied until now", prepare: func(w *world) { w.deny(netip.PrefixFrom(at4, 32), now()) }, in: v4(protoTCP, plainTCP), verdict: "send", to: 1},
		{name: "denied, for no service of ours", prepare: func(w *world) { w.deny(netip.MustParsePrefix("0.0.0.0/0"), 0) }, in: ether(director, router, typeIP4, beyond), verdict: "pass_no_service"},
		{name: "second syn within an hour", prepare: after(fromClient(client4, vip4, syn)), in: v4(protoTCP, tcp(40001, 443, syn)), verdict: "drop_syn_rate"},
		{name: "no syn after a syn", prepare: after(fromClient(client4, vip4, syn)), in: v4(protoTCP, plainTCP), verdict: "send", to: 1},
		{name: "syn of the same /64", prepare: after(fromClient(client6, vip6, syn)), in: fromClient(netip.MustParseAddrPort("[2001:db8:c::8]:1"), vip6, syn), verdict: "drop_syn_rate"},
		{name: "syn of another /64", prepare: after(fromClient(client6, vip6, syn)), in: fromClient(netip.MustParseAddrPort("[2001:db8:c:1::7]:1"), vip6, syn), verdict: "send", to: 3},

		{name: "local", prepare: backend(1, flags(scheduled|local|resolved)), in: v4(protoTCP, plainTCP), verdict: "pass_local"},
		{name: "unresolved", prepare: backend(1, flags(scheduled)), in: v4(protoTCP, plainTCP), verdict: "pass_unresolved"},
		{name: "all weights 0", prepare: backend(1, flags(resolved)), in: v4(protoTCP, plainTCP), verdict: "pass_far"},
		{name: "all weights 0, flow known", prepare: all(after(v4(protoTCP, plainTCP)), backend(1, flags(resolved))), in: v4(protoTCP, plainTCP), verdict: "send", to: 1},
		{name: "no servers", prepare: func(w *world) { w.serve(1, protoTCP, vip4, withFallback, 1) }, in: v4(protoTCP, plainTCP), verdict: "pass_no_backend"},
		{name: "no table", prepare: func(w *world) {
			w.put(w.Services, bpf.L4ServiceKey{Addr: wireAddr(vip4.Addr()), Port: wirePort(443), Protocol: protoTCP}, bpf.L4Service{Id: 9})
		}, in: v4(protoTCP, plainTCP), verdict: "pass_no_backend"},
		{name: "from port 20", in: v4(protoTCP, tcp(20, 443, ack)), verdict: "pass_ftp_data"},
		{name: "other interface", prepare: backend(1, func(b *bpf.L4Backend) { b.Ifindex = other }), in: v4(protoTCP, plainTCP), verdict: "send_other", to: 1},
		{name: "foreign interface of the backend", prepare: backend(1, func(b *bpf.L4Backend) { b.Ifindex = 9 }), in: v4(protoTCP, plainTCP), verdict: "pass_unresolved"},
	}
	w, seen := limited(t), map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			w.plain()
			if tt.prepare != nil {
				tt.prepare(w)
			}
			out, verdict := w.run(tt.in)
			seen[verdict] = true
			want := tt.in
			switch tt.verdict {
			case "send":
				want = sentTo(macOf(tt.to), director, tt.in)
			case "send_other":
				want = sentTo(macOf(tt.to), second, tt.in)
			}
			if verdict != tt.verdict || !bytes.Equal(out, want) {
				t.Errorf("%s, want %s\ngot  % x\nwant % x", verdict, tt.verdict, out, want)
			}
		})
	}
	w.TB = t
	for _, name := range w.names[1:] {
		if !seen[name] {
			t.Error("no frame is", name)
		}
	}
}

// chain is n hop-by-hop options before a payload.
func chain(n int, next byte, payload []byte) []byte {
	for range n {
		payload, next = extension(next, 0, payload), 0
	}
	return payload
}

// TestCut cuts frames at each byte: none is sent, none becomes another.
func TestCut(t *testing.T) {
	answer := ip4(vip4.Addr(), client4.Addr(), protoTCP, tcp(443, 40000, ack))
	w := limited(t).plain()
	for name, frame := range map[string][]byte{
		"tcp":       v4(protoTCP, tcp(40000, 443, ack), options(3)),
		"vlan":      tagged(typeVLAN, 0, v4(protoUDP, udp(40000, 443))),
		"extension": v6(0, chain(3, protoTCP, tcp(40000, 443, ack))),
		"fragment":  v6(44, fragment6(protoUDP, 7, 0, true, udp(40000, 443))),
		"icmp":      v4(protoICMP, icmp(3, 4, answer)),
	} {
		for n := 14; n <= len(frame); n++ {
			out, verdict := w.run(frame[:n])
			want := "pass_malformed"
			if n == len(frame) {
				want = "send"
			}
			if verdict != want {
				t.Errorf("%s cut at %d of %d: %s, want %s", name, n, len(frame), verdict, want)
			}
			if n < len(frame) && !bytes.Equal(out, frame[:n]) {
				t.Errorf("%s cut at %d of %d was changed", name, n, len(frame))
			}
		}
	}
}
