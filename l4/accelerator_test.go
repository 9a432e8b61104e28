package l4_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l4"
)

// runner carries every service, and counts one connection to each server.
type runner struct {
	state  l4.State
	refuse error
}

func (r *runner) Count(have *l4.State) {
	for i := range have.Services {
		if r.state.Find(have.Services[i].Key) != nil {
			have.Services[i].Stats.Connections++
			for j := range have.Services[i].Destinations {
				have.Services[i].Destinations[j].Active++
			}
		}
	}
}

func (r *runner) Follow(want l4.State) error {
	r.state = want
	return r.refuse
}

func (r *runner) Carrier(k l4.Key) l4.Carrier {
	return l4.Carrier{Dataplane: "xdp", Mode: "native"}
}

// accelerated is newNode with a runner before the kernel.
func accelerated(t *testing.T) (*node, *runner) {
	n, r := newNode(t), new(runner)
	n.Reconciler = l4.New(l4.Options{
		Log: slog.New(slog.NewTextHandler(&n.log, nil)), Dataplane: n.kernel, Accelerator: r, Health: n.health.Load,
		Owned: func(netip.Addr) bool { return n.owner.Load() }, StateFile: n.file, DrainFile: n.file + ".drains",
	})
	return n, r
}

func TestAcceleratorFollows(t *testing.T) {
	n, r := accelerated(t)
	n.configure(service("mh", vip4, "10.0.0.1", "10.0.0.2"))
	n.learn("10.0.0.1=up 10.0.0.2=up")
	n.sync(t)
	n.holds(t, "the dataplane", twoUp)
	if got := r.state.String(); got != twoUp {
		t.Errorf("the accelerator follows\n%s", got)
	}
	st := n.Status().Services[0]
	if st.Dataplane != "xdp" || st.Mode != "native" || st.Stats.Connections != 1 || st.Servers[0].Active != 1 {
		t.Errorf("status %+v", st)
	}

	// A server that leaves is watched where its connections are.
	one := service("mh", vip4, "10.0.0.2")
	one.Drain = time.Minute
	n.configure(one)
	n.sync(t)
	if d := r.state.Services[0].Find(server("10.0.0.1").Addr); d == nil || d.Weight != 0 {
		t.Errorf("the server that leaves: %+v", d)
	}

	n.owner.Store(false)
	n.sync(t)
	n.holds(t, "the address went", "")
	if got := r.state.String(); got != "" {
		t.Errorf("the address went, and the accelerator has\n%s", got)
	}
}

// TestAcceleratorOfABrokenDataplane has the kernel answer no more: what was
// accelerated goes on, but for an address that went to another node.
func TestAcceleratorOfABrokenDataplane(t *testing.T) {
	n, r := accelerated(t)
	n.configure(service("mh", vip4, "10.0.0.1"))
	n.learn("10.0.0.1=up")
	n.sync(t)
	n.kernel.Break(errors.New("no answer"))
	if err := n.Sync(t.Context()); err == nil || r.state.Find(key(80)) == nil {
		t.Errorf("%v, and the accelerator has\n%s", err, r.state)
	}
	n.owner.Store(false)
	if err := n.Sync(t.Context()); err == nil || r.state.String() != "" {
		t.Errorf("the address went: %v, and the accelerator has\n%s", err, r.state)
	}
}

func TestAcceleratorThatFails(t *testing.T) {
	n, r := accelerated(t)
	n.configure(service("mh", vip4, "10.0.0.1"))
	n.learn("10.0.0.1=up")
	r.refuse = errors.New("no room")
	if err := n.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "accelerate: no room") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(n.kernel.String(), "10.0.0.1:80") {
		t.Error("the dataplane has nothing")
	}
}
