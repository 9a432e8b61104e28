package xdp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/test/lab"
)

// director is a machine with a Plane on its eth0, and one server beside it.
type director struct {
	*lab.Node
	*Plane
	server *lab.Node
	pins   Pins
	log    *strings.Builder
}

func newDirector(t *testing.T) *director {
	l := lab.New(t)
	lan := l.Network("lan")
	d := &director{Node: l.Node("director"), server: l.Node("server"), log: new(strings.Builder)}
	d.Attach(lan, "eth0", "10.0.0.9/24")
	d.server.Attach(lan, "eth0", "10.0.0.1/24")
	lan.TakeXDP(d.Node)
	d.pins = Pins(d.Dir() + "/bpf")
	d.MountBPF(string(d.pins))
	d.restart()
	return d
}

// restart puts a Plane of another process in the place of the one before.
func (d *director) restart() {
	d.Plane = New(Options{Log: slog.New(slog.NewTextHandler(d.log, nil)), Pins: d.pins, Rows: 251})
	d.configure(l4.ByXDP, 1<<10)
}

func (d *director) configure(c l4.Choice, flows int) {
	d.Set(Config{
		XDP: l4.XDP{Choice: c, Fence: time.Minute, Flows: flows}, Services: true,
		Of: map[netip.Addr]string{netip.MustParseAddr("192.0.2.10"): "eth0"},
	})
}

// limitSYNs has another program be needed.
func (d *director) limitSYNs() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cfg.Shield = l4.Shield{SYNRate: 1 << 10, SYNBurst: 1 << 10}
}

const oneService = `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.9:80 -g -w 1
`

// follow follows, until the server is known, and returns what the maps hold.
func (d *director) follow(t *testing.T) (holds Holding) {
	t.Helper()
	want := state(t, oneService)
	lab.Eventually(t, 30*time.Second, "a service that XDP carries", func() (err error) {
		d.Do(func() { err = d.Follow(want) })
		if err != nil {
			return err
		}
		if holds, err = d.holding(); err != nil {
			return err
		}
		for _, b := range holds.Backends {
			if !b.Hop.Local && !b.Hop.resolved() {
				return fmt.Errorf("%s", holds)
			}
		}
		return nil
	})
	return holds
}

// holding is what the maps hold.
func (d *director) holding() (Holding, error) {
	d.work.Lock()
	defer d.work.Unlock()
	return d.holds()
}

// linkID is the link that holds the program of eth0, and whether there is one.
// The pins tell that it is ours.
func (d *director) linkID(t *testing.T) (id link.ID, attached bool) {
	t.Helper()
	d.Do(func() {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		x := l.Attrs().Xdp
		attached = x != nil && x.Attached
		if attached && !d.pins.Runs(x.ProgId) || d.pins.Runs(0) {
			t.Errorf("whose is program %d?", x.ProgId)
		}
	})
	found, err := d.pins.links()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		info, err := f.link.Info()
		if err != nil {
			t.Fatal(err)
		}
		id = info.ID
		f.link.Close()
	}
	return id, attached
}

var key80 = l4.Key{Protocol: l4.TCP, Addr: netip.MustParseAddrPort("192.0.2.10:80")}

func TestLife(t *testing.T) {
	d := newDirector(t)
	first := d.follow(t)
	if len(first.Backends) != 2 || !first.Backends[2].Hop.Local || first.Backends[1].Hop.MAC == (MAC{}) {
		t.Errorf("the maps hold\n%s", first)
	}
	if got := d.Carrier(key80); got != (l4.Carrier{Dataplane: "xdp", Mode: Native}) {
		t.Errorf("carried by %+v", got)
	}
	id, attached := d.linkID(t)
	if id == 0 || !attached {
		t.Fatalf("link %d, attached %v", id, attached)
	}

	t.Run("another process goes on", func(t *testing.T) {
		d.restart()
		if again := d.follow(t); again.String() != first.String() {
			t.Errorf("before\n%safter\n%s", first, again)
		}
		if now, attached := d.linkID(t); now != id || !attached {
			t.Errorf("link %d was %d, attached %v", now, id, attached)
		}
	})

	t.Run("a process that makes other maps goes on by the same link", func(t *testing.T) {
		before := d.Plane.Status().Layout
		d.restart()
		d.configure(l4.ByXDP, 1<<11)
		if again := d.follow(t); len(again.Services) != 1 || len(again.Backends) != 2 {
			t.Errorf("the maps hold\n%s", again)
		}
		after := d.Plane.Status().Layout
		if now, attached := d.linkID(t); now != id || !attached {
			t.Errorf("link %d was %d, attached %v", now, id, attached)
		}
		if layouts, err := d.pins.layouts(); err != nil || len(layouts) != 1 || layouts[0] != after || after == before {
			t.Errorf("layouts %q, %v: before %s, after %s", layouts, err, before, after)
		}
		if want := fmt.Sprintf(`msg="maps of another layout, known connections are forgotten" interface=eth0 have=%s want=%s`, before, after); !strings.Contains(d.log.String(), want) {
			t.Errorf("no line %s in\n%s", want, d.log)
		}
	})

	t.Run("flows that the CPUs share unevenly are adopted", func(t *testing.T) {
		const uneven = 1<<12 + 1 // which no even number of CPUs divides
		for range 2 {
			d.restart()
			d.configure(l4.ByXDP, uneven)
			d.follow(t)
		}
		if got := strings.Count(d.log.String(), "maps of another layout"); got != 2 {
			t.Errorf("maps made anew %d times, want 2:\n%s", got, d.log)
		}
	})

	t.Run("maps that are not all there are made anew", func(t *testing.T) {
		next := func() { d.restart(); d.configure(l4.ByXDP, 1<<11) }
		next()
		d.follow(t)
		// By the next process, and by one that has to load another program.
		for n, load := range []func(){next, d.limitSYNs} {
			if err := os.Remove(d.pins.path(d.life.open.tag, bpf.L4MapFlows4)); err != nil {
				t.Fatal(err)
			}
			load()
			for range 2 {
				if again := d.follow(t); len(again.Services) != 1 || len(again.Backends) != 2 {
					t.Errorf("the maps hold\n%s", again)
				}
			}
			if now, attached := d.linkID(t); now != id || !attached {
				t.Errorf("link %d was %d, attached %v", now, id, attached)
			}
			var f bpf.L4Fence
			if err := d.life.open.Fence.Lookup(uint32(0), &f); err != nil || f.BeatNs == 0 {
				t.Errorf("fence %+v, %v", f, err)
			}
			next()
			d.follow(t)
			if got := strings.Count(d.log.String(), "maps are damaged"); got != n+1 {
				t.Errorf("said %d times, want %d:\n%s", got, n+1, d.log)
			}
		}
	})

	t.Run("IPVS is chosen, and XDP again", func(t *testing.T) {
		d.configure(l4.ByIPVS, 1<<11)
		d.Do(func() {
			if err := d.Follow(state(t, oneService)); err != nil {
				t.Error(err)
			}
		})
		if _, attached := d.linkID(t); attached {
			t.Error("the program is still there")
		}
		if layouts, err := d.pins.layouts(); err != nil || len(layouts) > 0 {
			t.Errorf("layouts %q, %v", layouts, err)
		}
		if got := d.Carrier(key80); got != (l4.Carrier{Dataplane: "ipvs"}) {
			t.Errorf("carried by %+v", got)
		}
		d.configure(l4.ByXDP, 1<<11)
		d.follow(t)
	})

	t.Run("what a crash left half made is made anew", func(t *testing.T) {
		layout := d.Plane.Status().Layout
		if err := Flush(d.pins); err != nil {
			t.Fatal(err)
		}
		if _, attached := d.linkID(t); attached {
			t.Error("the program is still there after a flush")
		}
		if err := os.Mkdir(d.pins.path(unfinished+layout), 0o700); err != nil {
			t.Fatal(err)
		}
		d.restart()
		d.configure(l4.ByXDP, 1<<11)
		d.follow(t)
		if layouts, err := d.pins.layouts(); err != nil || len(layouts) != 1 || layouts[0] != layout {
			t.Errorf("layouts %q, %v", layouts, err)
		}
	})
}

// TestAutoLeavesVeth is for all who run it in a container.
func TestAutoLeavesVeth(t *testing.T) {
	d := newDirector(t)
	d.configure(l4.Auto, 1<<10)
	d.Do(func() {
		if err := d.Follow(state(t, oneService)); err != nil {
			t.Error(err)
		}
	})
	got := d.Carrier(key80)
	if got.Dataplane != "ipvs" || !strings.HasPrefix(got.Reason, "eth0: a veth needs a program at its other end too") {
		t.Errorf("carried by %+v", got)
	}
	if st := d.Plane.Status(); len(st.Interfaces) != 1 || st.Interfaces[0].Mode != "" || st.Layout != "" {
		t.Errorf("status %+v", st)
	}
	if n := strings.Count(d.log.String(), "no XDP on an interface"); n != 1 {
		t.Errorf("said %d times:\n%s", n, d.log)
	}
}

func TestNeighbourMoves(t *testing.T) {
	d := newDirector(t)
	d.follow(t)
	d.server.Output("ip", "link", "set", "eth0", "down")
	d.server.Output("ip", "link", "set", "eth0", "address", "02:00:00:00:00:77")
	d.server.Output("ip", "link", "set", "eth0", "up")
	d.Output("ip", "neigh", "flush", "dev", "eth0")
	lab.Eventually(t, 30*time.Second, "the new address", func() error {
		if h := d.follow(t); h.Backends[1].Hop.MAC != mac(0x77) {
			return fmt.Errorf("%s", h)
		}
		return nil
	})
	// A server that nobody answers for is left to IPVS, which asks as well.
	d.server.Output("ip", "link", "set", "eth0", "down")
	d.Output("ip", "neigh", "replace", "10.0.0.1", "dev", "eth0", "nud", "failed")
	want := state(t, oneService)
	lab.Eventually(t, 30*time.Second, "no address", func() error {
		d.Do(func() {
			if err := d.Follow(want); err != nil {
				t.Error(err)
			}
		})
		h, err := d.holding()
		if err != nil || h.Backends[1].Hop != (Hop{}) {
			return fmt.Errorf("%v: %s", err, h)
		}
		return nil
	})
}

// TestUnable has a service that is IPVS's beside one that is not, and an
// interface that is not there.
func TestUnable(t *testing.T) {
	d := newDirector(t)
	rr := strings.ReplaceAll(strings.Replace(oneService, "mh -b mh-fallback,mh-port", "rr", 1), ":80", ":81")
	d.Do(func() {
		if err := d.Follow(state(t, oneService+rr)); err != nil {
			t.Error(err)
		}
	})
	other := l4.Key{Protocol: l4.TCP, Addr: netip.MustParseAddrPort("192.0.2.10:81")}
	if got := d.Carrier(other); got != (l4.Carrier{Dataplane: "ipvs", Reason: "scheduler rr"}) {
		t.Errorf("carried by %+v", got)
	}
	d.Set(Config{
		XDP: l4.XDP{Choice: l4.ByXDP, Fence: time.Minute, Flows: 1 << 10}, Services: true,
		Of: map[netip.Addr]string{key80.Addr.Addr(): "eth7"},
	})
	d.Do(func() {
		if err := d.Follow(state(t, oneService)); err == nil || err.Error() != "xdp on eth7: there is no such interface" {
			t.Errorf("%v", err)
		}
	})
	if got := d.Carrier(key80); got != (l4.Carrier{Dataplane: "ipvs", Reason: "eth7: there is no such interface"}) {
		t.Errorf("carried by %+v", got)
	}
}

// TestLoadsBeside has no pass wait for the verifier.
func TestLoadsBeside(t *testing.T) {
	d := newDirector(t)
	loaded := make(chan struct{}, 1)
	load := d.life.beside(func() { loaded <- struct{}{} })
	want := state(t, oneService)
	d.Do(func() {
		if err := d.Follow(want); err != nil {
			t.Error(err)
		}
	})
	if got := d.Carrier(key80); got != (l4.Carrier{Dataplane: "ipvs", Reason: "eth0: the program is being loaded"}) {
		t.Errorf("carried by %+v", got)
	}
	alone := NewAlone(d.Plane)
	toDo := func() []l4.Op {
		have, err := alone.Read()
		if err != nil {
			t.Error(err)
		}
		have.Timeouts = l4.Timeouts{}
		return l4.Diff(have, want, func(l4.Key) bool { return true })
	}
	if ops := toDo(); len(ops) > 0 {
		t.Errorf("while the program is being loaded there is to do: %v", ops)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { load(ctx) })
	<-loaded
	stop()
	wg.Wait()
	d.follow(t)
	if got := d.Carrier(key80); got != (l4.Carrier{Dataplane: "xdp", Mode: Native}) {
		t.Errorf("carried by %+v", got)
	}
	if ops := toDo(); len(ops) > 0 {
		t.Errorf("and thereafter: %v", ops)
	}
	if strings.Contains(d.log.String(), "no XDP on an interface") {
		t.Errorf("a program that is on its way is no reason to worry:\n%s", d.log)
	}
}
