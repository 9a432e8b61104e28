package track

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bench is a Tracker at work in a bubble, with interfaces as the test tells.
type bench struct {
	*Tracker
	t       *testing.T
	changes chan linkChange
	log     bytes.Buffer
}

// newBench runs a Tracker's loop until the bubble's end.
func newBench(t *testing.T, rules ...Rule) *bench {
	b := &bench{t: t, changes: make(chan linkChange)}
	b.Tracker = New(Options{Log: slog.New(slog.NewTextHandler(&b.log, nil))})
	b.Set(rules, netip.AddrPort{})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.loop(ctx, func() {}, b.changes, &wg) })
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	synctest.Wait()
	return b
}

func (b *bench) wants(when string, rules []Rule, want Verdict, rung bool) {
	b.t.Helper()
	synctest.Wait()
	if got := Judge(rules, b.Snapshot()); got != want {
		b.t.Errorf("%s: %+v, want %+v", when, got, want)
	}
	select {
	case <-b.Changed():
		if !rung {
			b.t.Errorf("%s: rung", when)
		}
	default:
		if rung {
			b.t.Errorf("%s: not rung", when)
		}
	}
}

func number(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prefer")
	synctest.Test(t, func(t *testing.T) {
		rules := []Rule{{Watch{Kind: File, Subject: path, Interval: time.Second}, 1}}
		b := newBench(t, rules...)
		b.wants("missing", rules, Verdict{}, true)
		number(t, path, "20\n")
		b.wants("not read again yet", rules, Verdict{}, false)
		time.Sleep(1100 * time.Millisecond)
		b.wants("written", rules, Verdict{Delta: 20}, true)
		number(t, path, "")
		time.Sleep(1100 * time.Millisecond)
		b.wants("truncated", rules, Verdict{Delta: 20}, false)
		time.Sleep(1100 * time.Millisecond)
		b.wants("left empty", rules, Verdict{}, true)
		number(t, path, "-5")
		time.Sleep(1100 * time.Millisecond)
		b.wants("written again", rules, Verdict{Delta: -5}, true)

		// What stays is not forgotten: neither as it is nor with another rhythm or weight.
		rules = []Rule{{Watch{Kind: File, Subject: path, Interval: time.Hour}, 2}}
		b.Set(rules, netip.AddrPort{})
		if got := Judge(rules, b.Snapshot()); got.Delta != -10 {
			t.Errorf("after a change of interval and weight: %+v", got)
		}
		b.Set(nil, netip.AddrPort{})
		if n := len(b.Snapshot().states); n != 0 {
			t.Errorf("%d states of rules that are gone", n)
		}
	})
}

func TestInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := []Rule{{Watch{Kind: Interface, Subject: "uplink9", Hold: 3 * time.Second}, 0}}
		fault := func(text string) Verdict { return Verdict{Fault: "interface uplink9: " + text} }
		held := fault("up again, and counts when it has stayed so for 3s")
		b := newBench(t, rules...)
		tell := func(c linkChange) {
			b.changes <- c
			synctest.Wait()
		}
		b.wants("missing", rules, fault("does not exist"), true)
		tell(linkChange{index: 1 << 20, name: "uplink9", why: "down"})
		b.wants("there", rules, fault("down"), true)
		tell(linkChange{index: 1 << 20, name: "uplink9"})
		b.wants("up", rules, held, true)
		time.Sleep(2 * time.Second)
		tell(linkChange{index: 1 << 20, name: "uplink9", why: "no carrier"})
		b.wants("flapping", rules, fault("no carrier"), true)
		tell(linkChange{index: 1 << 20, name: "uplink9"})
		time.Sleep(2999 * time.Millisecond)
		b.wants("up for almost 3 s", rules, held, true)
		time.Sleep(time.Millisecond)
		b.wants("up for 3 s", rules, Verdict{}, true)
		tell(linkChange{index: 1 << 20, name: "renamed"})
		b.wants("renamed", rules, fault("does not exist"), true)
		tell(linkChange{index: 1 << 21, name: "uplink9"})
		time.Sleep(3 * time.Second)
		b.wants("another of the name", rules, Verdict{}, true)
		tell(linkChange{index: 1 << 21, name: "uplink9", gone: true})
		b.wants("gone", rules, fault("does not exist"), true)

		more := append(rules, Rule{Watch{Kind: Interface, Subject: "lo"}, -10})
		b.Set(more, netip.AddrPort{})
		tell(linkChange{}) // messages were lost: lo is there, uplink9 is not
		b.wants("read again", more[:1], fault("does not exist"), true)
		if !b.Snapshot().State(more[1].Watch).Known {
			t.Error("lo was not found")
		}
	})
}
