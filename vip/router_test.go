package vip

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/vrrp"
)

// wire is a segment in memory: what one plug sends all others hear.
type wire struct {
	mu    sync.Mutex
	plugs map[*plug]bool
	opens int
}

type plug struct {
	w      *wire
	source netip.Addr
	in     chan vrrp.Datagram
	ended  chan struct{}
	end    sync.Once
	slow   time.Duration // how long the listener takes to notice
}

func (w *wire) open(source string) func(vrrp.Endpoint) (conn, error) {
	return func(vrrp.Endpoint) (conn, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		p := &plug{w: w, source: netip.MustParseAddr(source), in: make(chan vrrp.Datagram, 100), ended: make(chan struct{})}
		w.plugs[p] = true
		w.opens++
		return p, nil
	}
}

func (p *plug) Source() netip.Addr { return p.source }

func (p *plug) Network() netip.Prefix { return netip.PrefixFrom(p.source, 24).Masked() }

func (p *plug) Send(packet vrrp.Packet) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	group := vrrp.Multicast(p.source)
	d := vrrp.Datagram{Src: p.source, Dst: group, TTL: 255, Payload: packet.Append(nil, p.source, group)}
	for q := range p.w.plugs {
		if q != p {
			q.in <- d
		}
	}
	return nil
}

func (p *plug) Receive() (vrrp.Datagram, error) {
	<-time.After(p.slow)
	select {
	case d := <-p.in:
		return d, nil
	case <-p.ended:
		return vrrp.Datagram{}, os.ErrDeadlineExceeded
	}
}

func (p *plug) Waiting() bool { return len(p.in) > 0 }

func (p *plug) Interrupt() error {
	p.end.Do(func() { close(p.ended) })
	return nil
}

func (p *plug) Close() error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if !p.w.plugs[p] {
		return errors.New("closed twice")
	}
	delete(p.w.plugs, p)
	return nil
}

func testGroup(priority int) Group {
	return Group{Name: "edge", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/32")}, Interface: "eth0", Owner: OwnerVRRP,
		VRRP: VRRP{Version: 3, RouterID: 51, Priority: priority, AdvertInterval: time.Second}}
}

// testRouter starts a router on the wire; the first result stops it.
func testRouter(t *testing.T, w *wire, source string, g Group, holding bool) (stop func(), r *router) {
	r = newTestRouter(w, source, g, holding)
	return start(t.Context(), r), r
}

func newTestRouter(w *wire, source string, g Group, holding bool) *router {
	r := newRouter(slog.New(slog.DiscardHandler), g, holding, func() {})
	r.open = w.open(source)
	r.setLink(addr.Link{Index: 1, Up: true})
	return r
}

func expect(t *testing.T, r *router, state vrrp.State, owned bool) {
	t.Helper()
	synctest.Wait()
	if s := r.snapshot(); s.State != state || s.Owned != owned {
		t.Fatalf("%v: state %v (%s), owned %v; want %v, %v", time.Now(), s.State, s.Reason, s.Owned, state, owned)
	}
}

// TestRouters: the better candidate takes over first, the other follows until
// that one resigns, and every advert is counted.
func TestRouters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{plugs: map[*plug]bool{}}
		stopA, a := testRouter(t, w, "192.0.2.3", testGroup(128), false)
		stopB, b := testRouter(t, w, "192.0.2.7", testGroup(64), false)
		defer stopB()
		expect(t, a, vrrp.Backup, false)
		<-time.After(3500*time.Millisecond - 1)
		expect(t, a, vrrp.Backup, false)
		<-time.After(1)
		expect(t, a, vrrp.Active, true)
		<-time.After(10 * time.Second)
		expect(t, a, vrrp.Active, true)
		expect(t, b, vrrp.Backup, false)
		if s, r := a.snapshot().Sent, b.snapshot().Received; s != 11 || r != 11 {
			t.Errorf("%d adverts sent, %d received, want 11", s, r)
		}
		if s := b.snapshot(); s.Active.String() != "192.0.2.3" || s.ActivePriority != 128 {
			t.Errorf("Backup follows %v of priority %d", s.Active, s.ActivePriority)
		}

		// The CLI reads it back.
		want := b.snapshot()
		var got GroupStatus
		text, err := json.Marshal(want)
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if err != nil || got.State != want.State || got.Active != want.Active || !got.Since.Equal(want.Since) {
			t.Errorf("%v: %s became %+v", err, text, got)
		}

		stopA()
		expect(t, a, vrrp.Initialize, false)
		<-time.After(750 * time.Millisecond) // the skew of priority 64
		expect(t, b, vrrp.Active, true)
	})
}

// TestRouterLink: a router whose interface goes down owns nothing, and comes
// back as Backup; one whose interface is replaced opens another socket.
func TestRouterLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{plugs: map[*plug]bool{}}
		stop, r := testRouter(t, w, "192.0.2.3", testGroup(128), false)
		<-time.After(5 * time.Second)
		expect(t, r, vrrp.Active, true)
		r.setLink(addr.Link{Index: 1})
		expect(t, r, vrrp.Fault, false)
		if e := r.snapshot().LastError; e != "interface eth0 is down" {
			t.Errorf("last error %q", e)
		}
		r.setLink(addr.Link{Index: 1, Up: true})
		expect(t, r, vrrp.Backup, false)
		if e := r.snapshot().LastError; e != "" {
			t.Errorf("last error %q", e)
		}
		<-time.After(5 * time.Second)
		r.setLink(addr.Link{Index: 2, Up: true})
		expect(t, r, vrrp.Active, true)
		if w.opens != 3 {
			t.Errorf("opened %d times, want 3", w.opens)
		}
		stop()
		if len(w.plugs) != 0 {
			t.Errorf("%d sockets left open", len(w.plugs))
		}
	})
}

// TestRouterReload: new peers need a new socket, and disturb no timer.
func TestRouterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{plugs: map[*plug]bool{}}
		stop, r := testRouter(t, w, "192.0.2.3", testGroup(128), false)
		defer stop()
		<-time.After(3 * time.Second)
		g := testGroup(128)
		g.VRRP.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.9")}
		r.set(g, nil)
		expect(t, r, vrrp.Backup, false)
		<-time.After(500 * time.Millisecond)
		expect(t, r, vrrp.Active, true)
		if w.opens != 2 || len(w.plugs) != 1 {
			t.Errorf("opened %d times, %d open", w.opens, len(w.plugs))
		}
	})
}

// TestRouterReadsBeforeElection: an advert that has come counts though nobody
// has read it yet, but an election does not wait for ever.
func TestRouterReadsBeforeElection(t *testing.T) {
	for _, tt := range []struct {
		name  string
		slow  time.Duration // what the listener takes: the election is due after 3.75s
		state vrrp.State
	}{{"in time", 3770 * time.Millisecond, vrrp.Backup}, {"never", time.Hour, vrrp.Active}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{plugs: map[*plug]bool{}}
				r := newTestRouter(w, "192.0.2.7", testGroup(64), false)
				r.open = func(e vrrp.Endpoint) (conn, error) {
					c, err := w.open("192.0.2.7")(e)
					c.(*plug).slow = tt.slow
					return c, err
				}
				stop := start(t.Context(), r)
				defer stop()
				<-time.After(3700 * time.Millisecond)
				other, _ := w.open("192.0.2.3")(vrrp.Endpoint{})
				if err := other.Send(vrrp.Packet{Version: 3, VRID: 51, Priority: 64, Interval: time.Second, Addrs: testGroup(64).addrs()}); err != nil {
					t.Fatal(err)
				}
				<-time.After(60*time.Millisecond - 1)
				expect(t, r, vrrp.Backup, false)
				<-time.After(time.Second)
				expect(t, r, tt.state, tt.state == vrrp.Active)
			})
		})
	}
}

// TestRouterHoldsUntilItKnows: who found the addresses on its interface owns
// them in the eyes of all until another is heard, or its socket cannot open.
func TestRouterHoldsUntilItKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{plugs: map[*plug]bool{}}
		stopA, a := testRouter(t, w, "192.0.2.3", testGroup(128), false)
		defer stopA()
		<-time.After(4 * time.Second)
		expect(t, a, vrrp.Active, true)
		stopB, b := testRouter(t, w, "192.0.2.7", testGroup(64), true)
		defer stopB()
		expect(t, b, vrrp.Backup, true)
		<-time.After(time.Second)
		expect(t, b, vrrp.Backup, false)
		expect(t, a, vrrp.Active, true)

		c := newRouter(slog.New(slog.DiscardHandler), testGroup(64), true, func() {})
		c.setLink(addr.Link{Index: 1, Up: true})
		c.open = func(vrrp.Endpoint) (conn, error) { return nil, errors.New("no") }
		stopC := start(t.Context(), c)
		expect(t, c, vrrp.Fault, false)
		stopC()
		expect(t, c, vrrp.Initialize, false)
	})
}

// TestRouterHoldsThroughout: adopting, it is never seen without the addresses.
func TestRouterHoldsThroughout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{plugs: map[*plug]bool{}}
		var r *router
		var stopping atomic.Bool
		r = newRouter(slog.New(slog.DiscardHandler), testGroup(128), true, func() {
			if s := r.snapshot(); !s.Owned && !stopping.Load() {
				t.Errorf("seen without: %+v", s)
			}
		})
		r.open = w.open("192.0.2.3")
		r.setLink(addr.Link{Index: 1, Up: true})
		stop := start(t.Context(), r)
		<-time.After(1500*time.Millisecond - 1)
		expect(t, r, vrrp.Backup, true)
		<-time.After(1)
		expect(t, r, vrrp.Active, true)
		stopping.Store(true)
		stop()
	})
}

// TestStatic: a static group is owned from the start to after the end.
func TestStatic(t *testing.T) {
	g := testGroup(1)
	g.Owner = OwnerStatic
	r := newRouter(slog.New(slog.DiscardHandler), g, false, func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.run(ctx)
	if !r.owns(netip.MustParseAddr("192.0.2.100")) || r.owns(netip.MustParseAddr("192.0.2.101")) {
		t.Error("a static group is not owned")
	}
}
