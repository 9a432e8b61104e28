package l4_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
)

// many returns services of ten servers each, and what is known of them.
func many(services int) (l4.Config, map[health.Check]health.State) {
	var cfg l4.Config
	states := map[health.Check]health.State{}
	for i := range services {
		s := l4.Service{
			Name: fmt.Sprint(i), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})}, Port: 80,
			Protocol: l4.TCP, Scheduler: "wlc", Forward: l4.DirectRoute, Drain: time.Minute,
		}
		for j := range 10 {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(j + 1)}), 80)
			s.Servers = append(s.Servers, l4.Server{Addr: addr, Weight: 1, Check: checkOf(addr)})
			states[checkOf(addr)] = health.State{Known: true, Up: true}
		}
		cfg.Services = append(cfg.Services, s)
	}
	return cfg, states
}

// Of a thousand services, a server that fails is one message to the kernel,
// and nothing to the disk.
func TestOneChangeIsOneMessage(t *testing.T) {
	n := newNode(t)
	cfg, states := many(1000)
	n.health.Store(health.NewSnapshot(states))
	n.Set(cfg)
	n.sync(t)
	n.kernel.Ops()
	before := stamp(t, n.file)
	failed := cfg.Services[500].Servers[5]
	states[failed.Check] = health.State{Known: true}
	n.sync(t)
	want := fmt.Sprintf("[set tcp %s:80 -> %s weight 0]", cfg.Services[500].Addrs[0], failed.Addr)
	if got := fmt.Sprint(n.kernel.Ops()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if after := stamp(t, n.file); !os.SameFile(before, after) {
		t.Error("the state file was written for a weight")
	}
}

func stamp(t *testing.T, file string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func BenchmarkPass(b *testing.B) {
	cfg, states := many(1000)
	h := health.NewSnapshot(states)
	have := l4.Plan(cfg, l4.Inputs{Health: h, Owned: everywhere})
	for b.Loop() {
		in := l4.Inputs{Now: time.Unix(1e9, 0), Health: h, Owned: everywhere, Have: have}
		in.Leaving = l4.Leaving(cfg, in, have, nil)
		want := l4.Plan(cfg, in)
		if ops := l4.Diff(have, want, all); len(ops) > 0 {
			b.Fatal(ops)
		}
	}
}
