package trace

import (
	"testing"

	"github.com/portico-lb/portico/l7/accesslog"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, in    string
		ok, sampled bool
	}{
		{"sampled", "00-" + traceID + "-" + parentID + "-01", true, true},
		{"not sampled", "00-" + traceID + "-" + parentID + "-00", true, false},
		{"another flag", "00-" + traceID + "-" + parentID + "-02", true, false},
		{"nothing", "", false, false},
		{"too short", "00-" + traceID + "-" + parentID + "-0", false, false},
		{"more than version 00 has", "00-" + traceID + "-" + parentID + "-01-", false, false},
		{"a version to come", "cc-" + traceID + "-" + parentID + "-01", true, true},
		{"a version to come, longer", "cc-" + traceID + "-" + parentID + "-01-what", true, true},
		{"a version to come, garbled", "cc-" + traceID + "-" + parentID + "-01.what", false, false},
		{"the forbidden version", "ff-" + traceID + "-" + parentID + "-01", false, false},
		{"upper case", "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + parentID + "-01", false, false},
		{"no trace", "00-00000000000000000000000000000000-" + parentID + "-01", false, false},
		{"no parent", "00-" + traceID + "-0000000000000000-01", false, false},
		{"no hex", "00-" + traceID + "-00f067aa0ba902bz-01", false, false},
		{"other separators", "00_" + traceID + "_" + parentID + "_01", false, false},
	} {
		got, ok := parse([]byte(c.in))
		if ok != c.ok || got.Sampled != c.sampled && c.ok {
			t.Errorf("%s: got %+v, %v", c.name, got, ok)
		}
	}
}

// TestBegin has strangers name a trace, and not decide what is recorded.
func TestBegin(t *testing.T) {
	const sampled, not = "00-" + traceID + "-" + parentID + "-01", "00-" + traceID + "-" + parentID + "-00"
	for _, c := range []struct {
		name, parent       string
		trusted            bool
		sample             float64
		continued, sampled bool
	}{
		{"new, all", "", false, 1, false, true},
		{"new, none", "", true, 0, false, false},
		{"a stranger's", sampled, false, 0, true, false},
		{"a stranger's, all", not, false, 1, true, true},
		{"a trusted proxy's", sampled, true, 0, true, true},
		{"a trusted proxy's, not sampled", not, true, 1, true, false},
		{"malformed", sampled[1:], true, 0, false, false},
	} {
		tr := New(Config{Sample: c.sample}, "", nil)
		got := tr.Begin([]byte(c.parent), c.trusted)
		if got.Continued != c.continued || got.Sampled != c.sampled || !got.Valid() || got.Span == [8]byte{} {
			t.Errorf("%s: got %+v", c.name, got)
		}
		if want, _ := parse([]byte(c.parent)); c.continued && (got.ID != want.ID || got.Parent != want.Parent || got.Span == want.Parent) {
			t.Errorf("%s: continues as %+v", c.name, got)
		}
	}
}

func TestSample(t *testing.T) {
	tr := New(Config{Sample: 0.25}, "", nil)
	n := 0
	for range 10_000 {
		if b := tr.Begin(nil, false); b.Sampled {
			n++
		}
	}
	if n < 2200 || n > 2800 {
		t.Errorf("%d of 10000 are sampled, want a quarter", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("00-" + traceID + "-" + parentID + "-01")
	f.Add("01-" + traceID + "-" + parentID + "-ff-x")
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := parse([]byte(in))
		if !ok {
			return
		}
		// What is passed on says the same, of the parent as the one who asks.
		out := accesslog.Trace{ID: got.ID, Span: got.Parent, Sampled: got.Sampled}
		if again, ok := parse(out.AppendParent(nil)); !ok || again != got {
			t.Fatalf("%q: %+v became %+v", in, got, again)
		}
	})
}
