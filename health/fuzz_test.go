package health

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func FuzzDNSAnswer(f *testing.F) {
	q := DNSQuery{Name: "www.example.com.", Type: dnsmessage.TypeA}
	b, err := q.pack(7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	b[2] |= 0x80
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if code, ok := q.answer(7, b); ok && (len(b) < 12 || b[0] != 0 || b[1] != 7 || b[2]&0x80 == 0 || byte(code) != b[3]&0xf) {
			t.Errorf("%x is taken as %v", b, code)
		}
	})
}

func FuzzEchoReply(f *testing.F) {
	sent := icmp.Echo{ID: 7, Seq: 1, Data: []byte("0123456789abcdef")}
	for _, typ := range []icmp.Type{ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, ipv6.ICMPTypeEchoReply} {
		b, err := (&icmp.Message{Type: typ, Body: &sent}).Marshal(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		if answers(sent, false, b) != (typ == ipv4.ICMPTypeEchoReply) || answers(sent, true, b) != (typ == ipv6.ICMPTypeEchoReply) {
			f.Errorf("%v is taken for what it is not", typ)
		}
	}
	other := sent
	other.ID++
	b, err := (&icmp.Message{Type: ipv4.ICMPTypeEchoReply, Body: &other}).Marshal(nil)
	if err != nil || answers(sent, false, b) {
		f.Errorf("the reply to another's echo is taken, %v", err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for v6, typ := range map[bool]byte{false: 0, true: 129} {
			if answers(sent, v6, b) && (b[0] != typ || string(b[8:]) != string(sent.Data)) {
				t.Errorf("%x is taken as the reply", b)
			}
		}
	})
}

func FuzzStates(f *testing.F) {
	f.Add([]byte(`{"version":1,"checks":{"00":{"up":true,"since":"2026-01-01T00:00:00Z","last":"2026-01-01T00:00:00Z"}}}`))
	f.Add([]byte(`{"version":1,"checks":{"00":{"up":true,"fell":true,"less":-7},"01":{"fell":true,"less":1000}}}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		states, err := parseStates(b)
		for key, s := range states {
			if err != nil || !s.Known || s.Up && s.Fell || s.Streak != 0 || s.Percent < 0 || s.Percent > whole {
				t.Errorf("%s: %+v, %v", key, s, err)
			}
		}
	})
}
