package track

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestNext feeds results, a word each, and shows what holds after each.
func TestNext(t *testing.T) {
	tests := []struct {
		name       string
		fall, rise int
		results    string // + passes, - fails
		want       string // + holds, - does not
	}{
		{"first decides", 3, 2, "+ - -", "+ + +"},
		{"first decides against", 3, 2, "- +", "- -"},
		{"fall", 3, 2, "+ - - -", "+ + + -"},
		{"fall in a row", 3, 2, "+ - - + - - -", "+ + + + + + -"},
		{"rise in a row", 1, 3, "- + + - + + +", "- - - - - - +"},
		{"no hysteresis", 1, 1, "- + - +", "- + - +"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := Watch{Kind: Command, Fall: tt.fall, Rise: tt.rise}
			var s State
			var got []string
			for i, r := range strings.Fields(tt.results) {
				failure := map[string]string{"-": "broken", "+": ""}[r]
				old, now := s, start.Add(time.Duration(i)*time.Second)
				s = w.next(s, now, result{failure: failure})
				got = append(got, map[bool]string{true: "+", false: "-"}[s.Up])
				if changed := i == 0 || s.Up != old.Up; changed != s.Since.Equal(now) || !s.Known {
					t.Errorf("step %d: %+v", i, s)
				}
				if !s.Up && s.Reason != "broken" {
					t.Errorf("step %d fails without a reason", i)
				}
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("%s gives %s, want %s", tt.results, got, tt.want)
			}
		})
	}
}

// TestNextFile: x is a reading that gives no number.
func TestNextFile(t *testing.T) {
	tests := []struct{ readings, want string }{
		{"5 5 7 0", "5 5 7 0"},
		{"5 x 7", "5 5 7"}, // a writer was at work
		{"5 x x 7", "5 5 0 7"},
		{"5 x 5 x 5", "5 5 5 5 5"},
		{"x 5", "0 5"},
	}
	for _, tt := range tests {
		var s State
		var got []string
		for _, r := range strings.Fields(tt.readings) {
			res := result{failure: "no integer"}
			if n, err := parseNumber(r); err == nil {
				res = result{value: n}
			}
			s = Watch{Kind: File}.next(s, start, res)
			if s.Reason != res.failure || !s.Up {
				t.Errorf("%s: %+v", tt.readings, s)
			}
			got = append(got, fmt.Sprint(s.Value))
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%s gives %s, want %s", tt.readings, got, tt.want)
		}
	}
}

// TestNextLink: an interface comes back when it stayed up for 3 s.
func TestNextLink(t *testing.T) {
	w := Watch{Kind: Interface, Subject: "eth1", Hold: 3 * time.Second}
	var s State
	for _, step := range []struct {
		at   int // seconds
		why  string
		up   bool
		due  int // 0: nothing
		says string
	}{
		{0, "does not exist", false, 0, "does not exist"},
		{1, "", false, 4, "up again, and counts when it has stayed so for 3s"},
		{2, "no carrier", false, 0, "no carrier"}, // flaps
		{3, "", false, 6, "up again, and counts when it has stayed so for 3s"},
		{5, "", false, 6, "up again, and counts when it has stayed so for 3s"},
		{6, "", true, 0, ""},
		{7, "", true, 0, ""},
		{8, "down", false, 0, "down"},
	} {
		now, due := w.nextLink(s, start.Add(time.Duration(step.at)*time.Second), step.why)
		want := time.Time{}
		if step.due > 0 {
			want = start.Add(time.Duration(step.due) * time.Second)
		}
		if s = now; s.Up != step.up || !s.Known || s.Reason != step.says || !due.Equal(want) {
			t.Errorf("at %d s: %+v, due %v", step.at, s, due)
		}
	}
	if want := start.Add(8 * time.Second); !s.Since.Equal(want) {
		t.Errorf("down since %v, want %v", s.Since, want)
	}

	if s, due := w.nextLink(State{}, start, ""); !s.Up || !due.IsZero() {
		t.Errorf("the first look does not count at once: %+v, due %v", s, due)
	}
	w.Hold = 0
	if s, due := w.nextLink(State{Known: true, Reason: "down"}, start, ""); !s.Up || !due.IsZero() || s.Reason != "" {
		t.Errorf("without hold: %+v, due %v", s, due)
	}
}

// FuzzParseNumber: any text gives a number of the size of a weight, or none.
func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"", "0\n", " -50 ", "+7", "99999999999999999999", "-99999999999999999999", "0x10", "1e3", "12 13", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseNumber(s)
		if n < -maxWeight || n > maxWeight || err != nil && n != 0 {
			t.Fatalf("%q gives %d, %v", s, n, err)
		}
	})
}

func TestParseNumber(t *testing.T) {
	for s, want := range map[string]int{"0\n": 0, " -50 ": -50, "+7": 7, "254": 253, "99999999999999999999": 253, "-99999999999999999999": -253} {
		if n, err := parseNumber(s); n != want || err != nil {
			t.Errorf("%q gives %d, %v, want %d", s, n, err, want)
		}
	}
	for _, s := range []string{"", "\n", "0x10", "1.5", "12 13", "ten"} {
		if n, err := parseNumber(s); err == nil {
			t.Errorf("%q gives %d", s, n)
		}
	}
}
