package drpath

import (
	"net/netip"
	"testing"
)

// Each frame reaches the attempts it may answer and no other.
func TestDeliver(t *testing.T) {
	vip, server := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("10.0.0.1")
	one, other := mac{2, 0, 0, 0, 0, 1}, mac{2, 0, 0, 0, 0, 2}
	w := &wire{flows: map[uint16]*flow{}, claims: map[claimed]map[*flow]bool{}, next: firstPort}
	var flows []*flow
	for _, asks := range []claimed{{vip, one}, {vip, one}, {vip, other}, {addr: server}} {
		f, err := w.open(asks)
		if err != nil {
			t.Fatal(err)
		}
		flows = append(flows, f)
	}
	for name, tt := range map[string]struct {
		e    event
		want [4]int
	}{
		"segment":             {event{kind: synAck, dst: netip.AddrPortFrom(server, flows[1].port)}, [4]int{0, 1, 0, 0}},
		"segment to nobody":   {event{kind: reset, dst: netip.AddrPortFrom(server, 1)}, [4]int{}},
		"a server claims it":  {event{kind: claim, addr: vip, mac: one}, [4]int{1, 1, 0, 0}},
		"its owner claims it": {event{kind: claim, addr: vip, mac: mac{2}}, [4]int{}},
		"a server is there":   {event{kind: claim, addr: server, mac: other}, [4]int{0, 0, 0, 1}},
	} {
		w.deliver(tt.e)
		for i, f := range flows {
			if got := len(f.events); got != tt.want[i] {
				t.Errorf("%s: flow %d got %d events, want %d", name, i, got, tt.want[i])
			}
			for len(f.events) > 0 {
				<-f.events
			}
		}
	}
	for _, f := range flows {
		w.drop(f)
	}
	if len(w.flows) != 0 || len(w.claims) != 0 {
		t.Errorf("left behind: %v %v", w.flows, w.claims)
	}
}
