package announce_test

import (
	"slices"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip/announce"
)

func TestSchedule(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	type sent struct{ ms, times int }
	tests := []struct {
		name string
		do   func(s *announce.Schedule)
		want []sent // the first ones
	}{
		{"nothing", func(*announce.Schedule) {}, nil},
		{"take-over", func(s *announce.Schedule) { s.Start(start) }, []sent{{0, 5}, {5000, 5}, {65000, 1}, {125000, 1}}},
		{"disputed at once", func(s *announce.Schedule) { s.Start(start); s.Take(start, announce.Refresh); s.Again(at(10)) },
			[]sent{{1000, 5}, {6000, 5}, {66000, 1}}},
		{"disputed often", func(s *announce.Schedule) {
			s.Start(start)
			s.Take(start, announce.Refresh)
			for ms := 10; ms < 900; ms += 10 {
				s.Again(at(ms))
			}
		}, []sent{{1000, 5}, {6000, 5}}},
		{"disputed late", func(s *announce.Schedule) { s.Start(start); s.Take(start, announce.Refresh); s.Again(at(3000)) },
			[]sent{{3000, 5}, {8000, 5}, {68000, 1}}},
		{"contested between the bursts", func(s *announce.Schedule) { s.Start(start); s.Take(start, announce.Refresh); s.Defend(at(2000)) },
			[]sent{{2000, 1}, {5000, 5}, {65000, 1}}},
		{"contested all the time", func(s *announce.Schedule) {
			s.Start(start)
			s.Take(start, announce.Refresh)
			s.Take(at(5000), announce.Refresh)
			for ms := 5000; ms < 8000; ms += 100 {
				if s.Defend(at(ms)); s.Take(at(ms), announce.Refresh) > 1 {
					t.Error("a burst")
				}
			}
		}, []sent{{8000, 1}, {68000, 1}}},
		{"taken over again", func(s *announce.Schedule) { s.Start(start); s.Take(start, announce.Refresh); s.Start(at(100)) },
			[]sent{{100, 5}, {5100, 5}, {65100, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s announce.Schedule
			tt.do(&s)
			if s.Next().IsZero() != (tt.want == nil) {
				t.Fatalf("next is %v", s.Next())
			}
			var got []sent
			for range tt.want {
				now := s.Next()
				if s.Take(now.Add(-1), announce.Refresh) != 0 {
					t.Fatal("taken before it was due")
				}
				got = append(got, sent{int(now.Sub(start).Milliseconds()), s.Take(now, announce.Refresh)})
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
