package announce_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip/announce"
)

// TestFrames compares with frames written out by hand from RFC 826, RFC 5227
// and RFC 4861.
func TestFrames(t *testing.T) {
	mac := announce.MAC{0x02, 0, 0, 0, 0, 0x0a}
	arp := func(op string) string {
		return "ffffffffffff 02000000000a 0806 0001 0800 06 04 " + op + " 02000000000a c0000264 ffffffffffff c0000264" + strings.Repeat("00", 18)
	}
	na := func(flags, sum string) string {
		return "333300000001 02000000000a 86dd 60000000 0020 3a ff" +
			"20010db8000000000000000000000064 ff020000000000000000000000000001" +
			"88 00 " + sum + flags + "000000 20010db8000000000000000000000064 02 01 02000000000a"
	}
	tests := []struct {
		name, ip string
		router   bool
		want     []string
	}{
		{"IPv4", "192.0.2.100", false, []string{arp("0001"), arp("0002")}},
		{"IPv6 host", "2001:db8::64", false, []string{na("20", "f85b")}},
		{"IPv6 router", "2001:db8::64", true, []string{na("a0", "785b")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := announce.Frames(mac, netip.MustParseAddr(tt.ip), tt.router)
			if len(got) != len(tt.want) {
				t.Fatalf("%d frames, want %d", len(got), len(tt.want))
			}
			for i, w := range tt.want {
				if h := hex.EncodeToString(got[i]); h != strings.ReplaceAll(w, " ", "") {
					t.Errorf("frame %d\n got %s\nwant %s", i, h, strings.ReplaceAll(w, " ", ""))
				}
			}
		})
	}
}

func TestSchedule(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	// bursts runs the schedule until nothing is due and returns the times of the bursts in ms.
	bursts := func(s *announce.Schedule) (ms []int64) {
		for !s.Next().IsZero() {
			now := s.Next()
			if !s.Take(now) {
				t.Fatal("nothing to take when due")
			}
			ms = append(ms, now.Sub(start).Milliseconds())
		}
		return ms
	}
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	tests := []struct {
		name string
		do   func(s *announce.Schedule)
		want []int64
	}{
		{"nothing", func(*announce.Schedule) {}, nil},
		{"take-over", func(s *announce.Schedule) { s.Start(start) }, []int64{0, 5000}},
		{"released before the second burst", func(s *announce.Schedule) { s.Start(start); s.Take(start); s.Stop() }, nil},
		{"disputed at once", func(s *announce.Schedule) { s.Start(start); s.Take(start); s.Again(at(10)) }, []int64{1000, 6000}},
		{"disputed often", func(s *announce.Schedule) {
			s.Start(start)
			s.Take(start)
			for ms := 10; ms < 900; ms += 10 {
				s.Again(at(ms))
			}
		}, []int64{1000, 6000}},
		{"disputed late", func(s *announce.Schedule) { s.Start(start); s.Take(start); s.Again(at(3000)) }, []int64{3000, 8000}},
		{"taken over again", func(s *announce.Schedule) { s.Start(start); s.Take(start); s.Stop(); s.Start(at(100)) }, []int64{100, 5100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s announce.Schedule
			tt.do(&s)
			got := bursts(&s)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Fatalf("got %v, want %v", got, tt.want)
				}
			}
		})
	}
	var s announce.Schedule
	if s.Start(start); s.Take(start.Add(-1)) {
		t.Error("taken before it was due")
	}
}
