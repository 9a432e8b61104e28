package bpf_test

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

// onto points every row of a service's table to one backend.
func (w *world) onto(service, backend uint32) {
	w.Helper()
	w.table(service, backend, make([]uint16, w.rows))
}

// to is the id of the backend that a frame is sent to; 0 if it is not sent.
func (w *world) to(frame []byte) uint32 {
	w.Helper()
	out, verdict := w.run(frame)
	if verdict != "send" {
		return 0
	}
	return uint32(out[4])<<8 | uint32(out[5])
}

// TestFlows sends a frame, lets the table name another backend, and sends a
// second frame.
func TestFlows(t *testing.T) {
	data, last, reset := fromClient(client4, vip4, ack), fromClient(client4, vip4, fin|ack), fromClient(client4, vip4, rst)
	opening, ask := fromClient(client4, vip4, syn), datagram(client4, vip4)
	tests := []struct {
		name          string
		service       uint32
		first, second []byte
		between       func(*world)
		stays         bool
	}{
		{name: "a connection stays", service: 1, first: opening, second: data, stays: true},
		{name: "a connection that was taken over stays", service: 1, first: data, second: last, stays: true},
		{name: "a new connection from an old port moves", service: 1, first: data, second: opening},
		{name: "and its packets with it", service: 1, first: data, between: after(opening), second: data},
		{name: "a SYN with an ACK opens nothing", service: 1, first: data, second: fromClient(client4, vip4, syn|ack), stays: true},
		{name: "the end of an unknown connection is no flow", service: 1, first: last, second: data},
		{name: "a reset leaves the flow alone", service: 1, first: data, between: after(reset), second: data, stays: true},
		{name: "a drained backend keeps its flows", service: 1, first: data, between: backend(1, flags(resolved)), second: data, stays: true},
		{name: "flows of another generation are forgotten", service: 1, first: data, between: backend(1, func(b *bpf.L4Backend) { b.Generation++ }), second: data},
		{name: "flows of a removed backend are forgotten", service: 1, first: data, between: backend(1, func(b *bpf.L4Backend) { *b = bpf.L4Backend{} }), second: data},
		{name: "an idle connection stays", service: 1, first: data, between: idle(time.Hour), second: data, stays: true},
		{name: "datagrams stay", service: 2, first: ask, between: idle(20 * time.Second), second: ask, stays: true},
		{name: "datagrams after 30 seconds are new", service: 2, first: ask, between: idle(31 * time.Second), second: ask},
		{name: "an ICMP error goes to the flow's backend", service: 1, first: data, second: tooBig(tcp(443, 40000, ack)), stays: true},
		{name: "an ICMP error makes no flow", service: 1, first: tooBig(tcp(443, 40000, ack)), second: data},
	}
	w := load(t, nil)
	w.serve(1, protoTCP, vip4, withPort|withFallback, 1, serverAt(1, vip4, 1), serverAt(2, vip4, 1))
	w.serve(2, protoUDP, vip4, withPort|withFallback, 3, serverAt(3, vip4, 1), serverAt(4, vip4, 1))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			w.forget()
			here := 2*tt.service - 1
			there := here + 1
			for id := here; id <= there; id++ {
				w.put(w.Backends, id, serverAt(int(id), vip4, 1).backend)
			}
			w.onto(tt.service, here)
			if got := w.to(tt.first); got != here {
				t.Fatal("the first frame went to", got)
			}
			w.onto(tt.service, there)
			if tt.between != nil {
				tt.between(w)
			}
			want := there
			if tt.stays {
				want = here
			}
			if got := w.to(tt.second); got != want {
				t.Errorf("the second frame went to %d, want %d", got, want)
			}
		})
	}
}

// tooBig is a router's word about what the service answered.
func tooBig(answer []byte) []byte {
	quoted := ip4(vip4.Addr(), client4.Addr(), protoTCP, answer)
	return v4(protoICMP, icmp(3, 4, quoted))
}

// idle makes all flows older.
func idle(d time.Duration) func(*world) {
	return func(w *world) {
		var key bpf.L4Flow4Key
		var f bpf.L4Flow
		for it := w.Flows4.Iterate(); it.Next(&key, &f); {
			f.Seen -= uint32(d >> 30)
			w.put(w.Flows4, key, f)
		}
	}
}

// TestServiceGoes takes a service away whose packets were just sent, and brings
// it back under another id: no later packet goes by what stood before.
func TestServiceGoes(t *testing.T) {
	w := load(t, nil)
	data := fromClient(client4, vip4, ack)
	key := bpf.L4ServiceKey{Addr: wireAddr(vip4.Addr()), Port: wirePort(vip4.Port()), Protocol: protoTCP}
	for id := uint32(1); id < 4; id++ {
		w.serve(id, protoTCP, vip4, withPort, id, serverAt(int(id), vip4, 1))
		if got := w.to(data); got != id {
			t.Errorf("as service %d it went to %d", id, got)
		}
		if err := w.Services.Delete(key); err != nil {
			t.Fatal(err)
		}
		w.revise()
		if _, got := w.run(data); got != "pass_no_service" {
			t.Errorf("without service %d: %s", id, got)
		}
	}
}

// TestFlood opens more connections than flood_rate: those above are sent, each
// to its row's backend, and leave no trace in the cache.
func TestFlood(t *testing.T) {
	const rate, all = 100, 1000
	w := load(t, tune(bpf.L4VarFloodRate, uint64(rate)))
	w.serve(1, protoTCP, vip4, withPort, 1, serverAt(1, vip4, 1))
	began := time.Now()
	for i := range uint16(all) {
		if got := w.to(packet(client4.Addr(), vip4.Addr(), protoTCP, tcp(1024+i, 443, syn))); got != 1 {
			t.Fatalf("connection %d went to %d", i, got)
		}
	}
	// Each second and each CPU that the test ran on may write its share.
	seconds := uint64(time.Since(began)/time.Second) + 2
	written, bypassed := w.event(bpf.L4EventFLOW_NEW), w.event(bpf.L4EventFLOW_BYPASSED)
	if most := rate * seconds * uint64(ebpf.MustPossibleCPU()); written < rate || written > most || written+bypassed != all {
		t.Errorf("%d flows written, %d bypassed: want %d to %d of %d written", written, bypassed, rate, most, all)
	}
	if got := w.counters(w.ServiceCounters, 1); got.Flows != all {
		t.Errorf("%d flows counted, want %d", got.Flows, all)
	}
}

// TestBurst lets a source open four connections at once, then none in an hour.
func TestBurst(t *testing.T) {
	w := load(t, func(spec *ebpf.CollectionSpec) {
		tune(bpf.L4VarSynIntervalNs, uint64(time.Hour))(spec)
		tune(bpf.L4VarSynBurstNs, uint64(3*time.Hour))(spec)
	})
	w.plain()
	for i := range uint16(6) {
		want := "send"
		if i >= 4 {
			want = "drop_syn_rate"
		}
		if _, got := w.run(packet(client4.Addr(), vip4.Addr(), protoTCP, tcp(1024+i, 443, syn))); got != want {
			t.Errorf("syn %d: %s, want %s", i, got, want)
		}
	}
	// An hour later there is one more.
	var due uint64
	key := wireAddr(client4.Addr())
	if err := w.Syns.Lookup(key, &due); err != nil {
		t.Fatal(err)
	}
	w.put(w.Syns, key, due-uint64(time.Hour))
	for _, want := range []string{"send", "drop_syn_rate"} {
		if _, got := w.run(fromClient(client4, vip4, syn)); got != want {
			t.Errorf("an hour later: %s, want %s", got, want)
		}
	}
}

// TestCounters counts what was sent, and nothing else.
func TestCounters(t *testing.T) {
	w := load(t, nil).plain()
	mtu := tooBig(tcp(443, 40000, ack))
	after(fromClient(client4, vip4, syn), fromClient(client4, vip4, ack), mtu, // 40, 40 and 68 bytes
		fromClient(client4, nobody, ack), fromClient(client6, vip6, ack)[:60])(w)
	backend(1, flags(scheduled|local))(w)
	after(fromClient(client4, vip4, ack))(w)
	want := bpf.L4Counters{Packets: 3, Bytes: 148, Flows: 1}
	if got := w.counters(w.ServiceCounters, 1); got != want {
		t.Errorf("service: %+v, want %+v", got, want)
	}
	if got := w.counters(w.BackendCounters, 1); got != want {
		t.Errorf("backend: %+v, want %+v", got, want)
	}
	if got := w.counters(w.ServiceCounters, 3); got != (bpf.L4Counters{}) {
		t.Errorf("a service without packets: %+v", got)
	}
	after(v4(protoUDP, udp(40000, 443), fragment4(7, 0, true)), v4(protoUDP, nil, fragment4(7, 1480, false)))(w)
	for event, want := range map[bpf.L4Event]uint64{bpf.L4EventICMP_RELATED: 1, bpf.L4EventFRAGMENT_KNOWN: 1, bpf.L4EventFLOW_NEW: 2} {
		if got := w.event(event); got != want {
			t.Errorf("event %v: %d, want %d", event, got, want)
		}
	}
}

// TestFallback takes most backends away: who is left gets the packets that the
// kernel's walk would give it, and some walks are too long for the program.
func TestFallback(t *testing.T) {
	const n = 40
	w := load(t, nil)
	var servers []server
	for i := range n {
		weight := 0
		if i%20 == 3 {
			weight = 1
		}
		servers = append(servers, serverAt(i, vip6, weight))
	}
	w.serve(1, protoTCP, vip6, withFallback, 1, servers...)
	dests := make([]mh.Dest, n)
	for i, s := range servers {
		dests[i] = s.dest
	}
	table, far := mh.Table(dests, w.rows), 0
	client := client6.Addr()
	for range 500 {
		client = client.Next()
		want, ok := mh.Pick(table, dests, client, 0, true)
		if !ok {
			t.Fatal(client, "has no server")
		}
		switch out, verdict := w.run(packet(client, vip6.Addr(), protoTCP, tcp(1024, 443, syn))); {
		case verdict == "pass_far":
			far++
		case verdict != "send" || mac(out[:6]) != macOf(uint32(want)):
			t.Errorf("%v: %s to % x, want server %d", client, verdict, out[:6], want)
		}
	}
	if far > 10 { // 0.95^128 of 500 is 0.7
		t.Errorf("%d of 500 walks were too long", far)
	}
	if got := w.event(bpf.L4EventFLOW_FALLBACK); got < 400 {
		t.Errorf("%d fallbacks counted of about 475", got)
	}
}
