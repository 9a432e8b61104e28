package bpf_test

import (
	"bytes"
	"net/netip"
	"testing"

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

// TestTable sends 2,000 clients through a service of seven servers: each gets
// the server that the kernel's mh scheduler would give it.
func TestTable(t *testing.T) {
	var servers []server
	var dests []mh.Dest
	for i := range 7 {
		servers = append(servers, serverAt(i, vip4, i%4))
		dests = append(dests, servers[i].dest)
	}
	w := load(t, nil)
	w.serve(1, protoTCP, vip4, withPort|withFallback, 1, servers...)
	for i := range 2000 {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), uint16(1024+17*i))
		want, ok := mh.Pick(mh.Table(dests, rows), dests, client.Addr(), client.Port(), true)
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
