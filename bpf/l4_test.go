package bpf_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

var (
	vip4    = netip.MustParseAddrPort("192.0.2.100:443")
	vip6    = netip.MustParseAddrPort("[2001:db8::100]:443")
	client4 = netip.MustParseAddrPort("198.51.100.7:40000")
	client6 = netip.MustParseAddrPort("[2001:db8:c::7]:40000")
)

// sentTo is the frame as a backend gets it.
func sentTo(to, from mac, frame []byte) []byte {
	return append(append(bytes.Clone(to[:]), from[:]...), frame[12:]...)
}

// TestTable sends clients through a service of seven servers: each gets the
// server that the kernel's mh scheduler would give it, for two of the sizes
// that a kernel may be built with.
func TestTable(t *testing.T) {
	for _, size := range []uint32{4093, 251} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { sendThrough(t, size) })
	}
}

func sendThrough(t *testing.T, size uint32) {
	var servers []server
	var dests []mh.Dest
	for i := range 7 {
		servers = append(servers, serverAt(i, vip4, i%4))
		dests = append(dests, servers[i].dest)
	}
	w := load(t, func(spec *ebpf.CollectionSpec) {
		spec.Maps[bpf.L4MapTables].InnerMap.MaxEntries = size
		tune(bpf.L4VarTableRows, size)(spec)
	})
	w.serve(1, protoTCP, vip4, withPort|withFallback, 1, servers...)
	table := mh.Table(dests, int(size))
	for i := range 2000 {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), uint16(1024+17*i))
		want, ok := mh.Pick(table, dests, client.Addr(), client.Port(), true)
		if !ok {
			t.Fatal(client, "has no server")
		}
		in := fromClient(client, vip4, syn)
		out, verdict := w.run(in)
		if verdict != "send" || !bytes.Equal(out, sentTo(macOf(uint32(want)), director, in)) {
			t.Fatalf("%v: %s\n% x\nwant server %d\n% x", client, verdict, out, want, in)
		}
	}
}

// TestSwap replaces a table under a stream of packets that no flow holds: each
// goes by the old one or the new one.
func TestSwap(t *testing.T) {
	w := load(t, nil)
	var servers []server
	for i := range 2 {
		s := serverAt(i, vip4, 1)
		s.backend.Mac = wireMAC(director) // what was sent may come in again
		servers = append(servers, s)
	}
	w.serve(1, protoTCP, vip4, withPort, 1, servers...)
	ctx, stop := context.WithCancel(t.Context())
	packets := make(chan uint64, 1)
	again := false // what a signal interrupts is run once more, and counted twice
	go func() {
		n := uint64(0)
		for ctx.Err() == nil {
			if _, _, err := w.PorticoL4.Benchmark(fromClient(client4, vip4, fin|ack), 10_000, func() { again = true }); err != nil {
				t.Error(err)
			}
			n += 10_000
		}
		packets <- n
	}()
	got := func(backend uint32) uint64 { return w.counters(w.BackendCounters, backend).Packets }
	deadline := time.Now().Add(30 * time.Second)
	for i := uint32(0); i < 20 || (got(1) == 0 || got(2) == 0) && time.Now().Before(deadline); i++ {
		w.onto(1, 1+i/3%2) // not each other time: both wait for RCU, and may fall into step
	}
	stop()
	if n, one, two := <-packets, got(1), got(2); one+two < n || one+two > n && !again || one == 0 || two == 0 {
		t.Errorf("%d and %d packets of %d, some again: %t", one, two, n, again)
	}
}
