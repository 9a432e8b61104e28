package shield

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-lb/portico/l4"
)

// A plane is who drops the packets.
type plane struct {
	mu   sync.Mutex
	list map[netip.Prefix]time.Time
	off  error
}

func (p *plane) deny(list map[netip.Prefix]time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = list
}

// text is the list, a network and the seconds it has left a word.
func (p *plane) text(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var words []string
	for _, n := range slices.SortedFunc(maps.Keys(p.list), netip.Prefix.Compare) {
		word := n.String()
		if until := p.list[n]; !until.IsZero() {
			word += fmt.Sprintf("(%v)", until.Sub(now))
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (p *plane) shield(path string) *Shield {
	return New(Options{
		Log: slog.New(slog.DiscardHandler), File: path,
		Deny: p.deny,
		Denied: func() map[netip.Prefix]uint64 {
			return map[netip.Prefix]uint64{netip.MustParsePrefix("192.0.2.0/24"): 7}
		},
		Works: func() error { return p.off },
		Friends: func() []Friend {
			return []Friend{{netip.MustParseAddr("10.0.0.1"), "an address of this node"}, {netip.MustParseAddr("10.0.0.2"), "a VRRP peer"}}
		},
	})
}

// TestOrders gives one order after another, and looks at what is denied then.
func TestOrders(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), "denials")
	p := new(plane)
	s := p.shield(file)
	fixed := l4.Shield{Deny: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
	s.Set(fixed)
	for _, step := range []struct {
		name  string
		order Order
		fault string
		list  string
	}{
		{"an address", Order{Network: "192.0.2.7"}, "", "192.0.2.7/32 198.51.100.0/24"},
		{"for an hour", Order{Network: "192.0.2.0/24", For: "1h", Reason: "SYN flood"}, "", "192.0.2.0/24(1h0m0s) 192.0.2.7/32 198.51.100.0/24"},
		{"again, and longer", Order{Network: "192.0.2.0/24", For: "2h", Reason: "SYN flood"}, "", "192.0.2.0/24(2h0m0s) 192.0.2.7/32 198.51.100.0/24"},
		{"no network", Order{Network: "all"}, `"all" is no address and no network: write one like "192.0.2.0/24"`, ""},
		{"bits", Order{Network: "192.0.2.7/24"}, "192.0.2.7/24 has bits beyond its length: write 192.0.2.0/24", ""},
		{"no time", Order{Network: "192.0.2.9", For: "1"}, `for "1": want a time from 1s to 8760h, as "90s" or "1h"`, ""},
		{"no time left", Order{Network: "192.0.2.9", For: "-1h"}, `for "-1h": want a time from 1s to 8760h, as "90s" or "1h"`, ""},
		{"two lines", Order{Network: "192.0.2.9", Reason: "a\nb"}, "the reason must be one line of at most 200 printable bytes", ""},
		{"everybody", Order{Network: "0.0.0.0/0"}, "0.0.0.0/0 is everybody: deny the networks that attack, or give --force if that is what you want", ""},
		{"everybody, by force", Order{Network: "0.0.0.0/0", Force: true, For: "1m"}, "", "0.0.0.0/0(1m0s) 192.0.2.0/24(2h0m0s) 192.0.2.7/32 198.51.100.0/24"},
		{"not everybody", Order{Network: "0.0.0.0/0", Off: true}, "", "192.0.2.0/24(2h0m0s) 192.0.2.7/32 198.51.100.0/24"},
		{"loopback", Order{Network: "127.0.0.1"}, "127.0.0.1/32 is this node itself, whose packets to itself are never dropped: deny the networks that attack, or give --force if that is what you want", ""},
		{"the node", Order{Network: "10.0.0.1"}, "10.0.0.1/32 holds 10.0.0.1, an address of this node: deny smaller networks beside it, or give --force if that is what you want", ""},
		{"a peer", Order{Network: "10.0.0.2/31"}, "10.0.0.2/31 holds 10.0.0.2, a VRRP peer: deny smaller networks beside it, or give --force if that is what you want", ""},
		{"back", Order{Network: "192.0.2.7/32", Off: true}, "", "192.0.2.0/24(2h0m0s) 198.51.100.0/24"},
		{"back again", Order{Network: "192.0.2.7/32", Off: true}, "192.0.2.7/32 is not denied by itself, but within 192.0.2.0/24: delete that", ""},
		{"the file's", Order{Network: "198.51.100.0/24", Off: true}, "198.51.100.0/24 is denied by the configuration: take it out of l4.shield and reload", ""},
		{"within the file's", Order{Network: "198.51.100.7", Off: true}, "198.51.100.7/32 is denied within 198.51.100.0/24 by the configuration: change l4.shield and reload", ""},
		{"nobody", Order{Network: "2001:db8::/32", Off: true}, "2001:db8::/32 is not denied: portico deny list shows what is", ""},
	} {
		before := p.text(now)
		err := s.Order(step.order, now)
		if step.fault != "" {
			step.list = before
		}
		if fmt.Sprint(err) != cmpText(step.fault) || p.text(now) != step.list {
			t.Errorf("%s: %v\ndenied %s\nwant %s\nwant %s", step.name, err, p.text(now), step.fault, step.list)
		}
	}
	p.off = errors.New("XDP runs nowhere")
	if err := s.Order(Order{Network: "192.0.2.9"}, now); err == nil || err.Error() != "nothing can be denied on this node: XDP runs nowhere" {
		t.Error(err)
	}

	again := p.shield(file) // the next process
	again.Set(fixed)
	if got := p.text(now); got != "192.0.2.0/24(2h0m0s) 198.51.100.0/24" {
		t.Errorf("after a restart: %s", got)
	}
	want := List{Fault: "XDP runs nowhere", Denials: []Denial{
		{Network: netip.MustParsePrefix("192.0.2.0/24"), By: ByOrder, Since: now, Until: now.Add(2 * time.Hour), Reason: "SYN flood", Packets: 7},
		{Network: fixed.Deny[0], By: ByConfiguration},
	}}
	if got := again.List(now); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := again.List(now.Add(2 * time.Hour)).Denials; len(got) != 1 {
		t.Errorf("after its end: %v", got)
	}
	if got := again.Status(); got.Ordered != 1 || got.Configured != 1 || got.Fault != "XDP runs nowhere" {
		t.Errorf("%+v", got)
	}
	p.off = nil
	again.Set(l4.Shield{})
	if got := p.text(now); got != "192.0.2.0/24(2h0m0s)" {
		t.Errorf("after a reload: %s", got)
	}
}

func cmpText(fault string) string {
	if fault == "" {
		return "<nil>"
	}
	return fault
}

// TestUnwritten: an order that would be forgotten is refused.
func TestUnwritten(t *testing.T) {
	p := new(plane)
	s := p.shield(filepath.Join(t.TempDir(), "none", "denials"))
	if err := s.Order(Order{Network: "192.0.2.7"}, time.Now()); err == nil || len(p.list) > 0 {
		t.Errorf("%v, denied %v", err, p.list)
	}
}

// TestEnd: what has ended is taken off, and out of the file.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "denials")
		p := new(plane)
		s := p.shield(file)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, func() {}) }()
		for network, d := range map[string]string{"192.0.2.1": "1m", "192.0.2.2": "2m", "192.0.2.3": ""} {
			if err := s.Order(Order{Network: network, For: d}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{
			"192.0.2.1/32(1m0s) 192.0.2.2/32(2m0s) 192.0.2.3/32",
			"192.0.2.2/32(1m0s) 192.0.2.3/32",
			"192.0.2.3/32",
		} {
			synctest.Wait()
			if got := p.text(time.Now()); got != want {
				t.Errorf("denied %s, want %s", got, want)
			}
			<-time.After(time.Minute)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.HasSuffix(string(text), " - 192.0.2.3/32\n") {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// TestReadWhatCanBe: a broken line costs what it said.
func TestReadWhatCanBe(t *testing.T) {
	got, err := parseOrders([]byte("2026-01-01T00:00:00Z - 192.0.2.0/24 a reason\n\nyesterday - 192.0.2.1\n2026-01-01T00:00:00Z soon 192.0.2.1/32\n2026-01-01T00:00:00Z - 192.0.2.1/24\n"))
	if len(got) != 1 || got[netip.MustParsePrefix("192.0.2.0/24")].reason != "a reason" || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzOrders: what is read is written so that it is read again.
func FuzzOrders(f *testing.F) {
	f.Add([]byte("2026-01-01T00:00:00Z 2026-01-01T01:00:00Z 192.0.2.0/24 SYN flood\n2026-01-01T00:00:00Z - 2001:db8::/32\n"))
	f.Add([]byte("2026-01-01T00:00:00+01:00 - 192.0.2.1/32  two \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, _ := parseOrders(text)
		again, err := parseOrders(o.text())
		if err != nil || string(again.text()) != string(o.text()) || len(again) != len(o) {
			t.Errorf("%q became %q became %q (%v)", text, o.text(), again.text(), err)
		}
	})
}
