package xdp_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/xdp"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

// wanted is what l4 wants of a service of 100 servers, of which the first has
// a weight, and what its rows follow.
func wanted(weight, base int) l4.State {
	v := l4.VirtualService{Key: l4.Key{Protocol: l4.UDP, Addr: service}, Scheduler: "mh", Flags: l4.FlagPort | l4.FlagFallback}
	for i := range 100 {
		d := l4.Destination{Addr: server(i + 1).Addr, Forward: l4.DirectRoute, Weight: 1, Base: 1}
		if i == 0 {
			d.Weight, d.Base = weight, base
		}
		v.Destinations = append(v.Destinations, d)
	}
	return l4.State{Services: []l4.VirtualService{v}}
}

// BenchmarkUpdate brings the program from one state of a service to another:
// all that the director does from the wanted state to the last map.
func BenchmarkUpdate(b *testing.B) {
	r := newRig(b)
	r.node.Output("ip", "route", "add", "10.0.0.0/8", "dev", "eth0")
	for i := range 100 {
		r.node.Output("ip", "neighbor", "add", server(i+1).Addr.Addr().String(), "lladdr", fmt.Sprintf("02:be:00:00:00:%02x", i), "dev", "eth0")
	}
	pins := xdp.Pins(filepath.Join("/sys/fs/bpf", fmt.Sprintf("portico-bench-%d", os.Getpid())))
	b.Cleanup(func() {
		if err := errors.Join(xdp.Flush(pins), os.Remove(string(pins))); err != nil {
			b.Error(err)
		}
	})
	p := xdp.New(xdp.Options{Log: slog.New(slog.DiscardHandler), Pins: pins, Rows: mh.Size})
	p.Set(xdp.Config{
		XDP:      l4.XDP{Choice: l4.ByXDP, Fence: time.Hour, Flows: 1 << 18},
		Services: true,
		Of:       map[netip.Addr]string{service.Addr(): "eth0"},
	})
	follow := func(b *testing.B, want l4.State) (d time.Duration) {
		b.Helper()
		r.node.Do(func() {
			began := time.Now()
			if err := p.Follow(want); err != nil {
				b.Fatal(err)
			}
			d = time.Since(began)
		})
		return d
	}
	milliseconds := func(b *testing.B, d time.Duration) {
		b.ReportMetric(float64(d.Microseconds())/1000, "ms")
		b.ReportMetric(0, "ns/op") // not shown
	}
	b.Run("start", func(b *testing.B) {
		milliseconds(b, follow(b, wanted(1, 1)))
		if c := p.Carrier(wanted(1, 1).Services[0].Key); c.Dataplane != string(l4.ByXDP) {
			b.Fatalf("carried by %+v: %+v", c, p.Status())
		}
		b.ReportMetric(float64(held(b, pins))/(1<<20), "MB")
	})
	for _, c := range []struct {
		name     string
		from, to l4.State
	}{
		{"nothing", wanted(1, 1), wanted(1, 1)},
		{"a server fails", wanted(1, 1), wanted(0, 1)},
		{"a weight changes", wanted(1, 1), wanted(2, 2)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var all []time.Duration
			for range rounds {
				follow(b, c.from)
				all = append(all, follow(b, c.to))
			}
			milliseconds(b, median(all))
		})
	}
}

// held is the memory of the pinned maps: all but the tables, of 32 KB each.
func held(b *testing.B, pins xdp.Pins) (bytes uint64) {
	err := filepath.WalkDir(string(pins), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			return nil // a program or a link
		}
		defer m.Close()
		bytes += memory(b, m)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
