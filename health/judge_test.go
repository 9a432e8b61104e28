package health

import (
	"strings"
	"testing"
	"time"
)

// Each letter of answers is one attempt, p passed, f failed, r was refused; each letter of
// want is the verdict after it: U up, d down, and a capital D where the server
// turned down at that attempt (Since moved).
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name          string
		rise, fall    int
		answers, want string
	}{
		{"first answer decides: up", 3, 3, "p", "U"},
		{"first answer decides: down", 3, 3, "f", "D"},
		{"falls at the third", 2, 3, "pfff", "UuuD"},
		{"a pass starts the count again", 2, 3, "pffpfff", "UuuuuuD"},
		{"rises at the second", 2, 3, "fpp", "DdU"},
		{"a failure starts the count again", 2, 3, "fpfpp", "DdddU"},
		{"rise and fall of one", 1, 1, "pfpf", "UDUD"},
		{"the first answer counts towards the next turn", 2, 2, "ffpp", "DddU"},
		{"refused falls at once", 2, 3, "pprppr", "UuDdUD"},
		{"refused rises as all others", 2, 3, "rpp", "DdU"},
		{"refused counts as all others", 2, -3, "prrr", "UuuD"}, // a negative fall sets CountRefused
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Check{Rise: tt.rise, Fall: max(tt.fall, -tt.fall), CountRefused: tt.fall < 0}
			var s State
			got := ""
			for i, a := range tt.answers {
				now := time.Unix(int64(i+1), 0)
				s = judge(s, c, now, map[rune]answer{'f': {failure: "timeout"}, 'r': {failure: "refused", refused: true}}[a])
				letter := map[bool]string{true: "u", false: "d"}[s.Up]
				if s.Since.Equal(now) {
					letter = map[bool]string{true: "U", false: "D"}[s.Up]
				}
				got += letter
				if !s.Known || !s.Last.Equal(now) {
					t.Fatalf("after %q: known %v, last %v", tt.answers[:i+1], s.Known, s.Last)
				}
				if fell := !s.Up && strings.ContainsAny(got, "uU"); s.Fell != fell {
					t.Fatalf("after %q: fell %v, want %v", tt.answers[:i+1], s.Fell, fell)
				}
			}
			if got != tt.want {
				t.Errorf("answers %s: got %s, want %s", tt.answers, got, tt.want)
			}
		})
	}
}

func TestJudgeKeepsTheReasonWhileDown(t *testing.T) {
	c := Check{Rise: 2, Fall: 2}
	var s State
	for i, step := range []struct {
		failure, reason string
		streak          int
	}{
		{"", "", 1},
		{"timeout", "timeout", -1}, // up, but not well
		{"", "", 1},
		{"timeout", "timeout", -1},
		{"refused", "refused", -2}, // down
		{"", "refused", 1},         // still down, and still for that
		{"", "", 2},                // up
	} {
		s = judge(s, c, time.Unix(int64(i), 0), answer{failure: step.failure})
		if s.Reason != step.reason || s.Streak != step.streak {
			t.Fatalf("step %d: reason %q streak %d, want %q %d", i, s.Reason, s.Streak, step.reason, step.streak)
		}
	}
}

func TestFresh(t *testing.T) {
	now := time.Unix(1e9, 0)
	for ago, want := range map[time.Duration]bool{0: true, 5 * time.Minute: true, 5*time.Minute + 1: false, -1: false} {
		if got := fresh(State{Known: true, Last: now.Add(-ago)}, now); got != want {
			t.Errorf("an answer %v ago: %v", ago, got)
		}
	}
}

func TestDetection(t *testing.T) {
	c := Check{Interval: 2 * time.Second, Timeout: time.Second, Fall: 3}
	if got := c.Detection(); got != 7600*time.Millisecond {
		t.Errorf("got %v, want 7.6s", got)
	}
}

func TestJittered(t *testing.T) {
	for r, want := range map[float64]time.Duration{
		0: 900 * time.Millisecond, 0.5: time.Second, 0.99999999999: 1100 * time.Millisecond,
	} {
		if got := jittered(time.Second, r).Round(time.Millisecond); got != want {
			t.Errorf("r = %v: got %v, want %v", r, got, want)
		}
	}
}
