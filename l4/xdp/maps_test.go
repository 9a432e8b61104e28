package xdp

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

// fake keeps what the maps keep, and refuses what would hurt: to point at
// nothing, to take away what is pointed at.
type fake struct {
	h      Holding
	tables map[uint32][]place
	ops    []string
}

func newFake() *fake { return &fake{h: newHolding(), tables: map[uint32][]place{}} }

func (f *fake) read() (Holding, error) {
	h := f.h
	h.Services, h.Backends, h.Builds = maps.Clone(h.Services), maps.Clone(h.Backends), maps.Clone(h.Builds)
	h.Interfaces, h.Peers = maps.Clone(h.Interfaces), maps.Clone(h.Peers)
	return h, nil
}

func (f *fake) apply(o op) error {
	f.ops = append(f.ops, o.String())
	h := &f.h
	switch o.kind {
	case delService:
		delete(h.Services, o.key)
	case setPeer:
		h.Peers[o.mac] = true
	case setInterface:
		h.Interfaces[o.link] = o.mac
	case setBackend:
		if o.fresh && o.backend.Generation <= h.Generation {
			return fmt.Errorf("%s: generation %d was given out", o, h.Generation)
		}
		h.Generation = max(h.Generation, o.backend.Generation)
		h.Backends[o.id] = o.backend
	case setTable:
		for _, p := range o.places {
			if b, ok := h.Backends[p.id]; !ok || b.Service != o.id || b.Server != p.server {
				return fmt.Errorf("%s: backend %d is %s", o, p.id, b)
			}
		}
		f.tables[o.id], h.Builds[o.id] = o.places, o.build
	case setService:
		if h.Builds[o.service.ID] == 0 {
			return fmt.Errorf("%s: no table", o)
		}
		h.Services[o.key] = o.service
	case delTable:
		for k, s := range h.Services {
			if s.ID == o.id {
				return fmt.Errorf("%s: %s needs it", o, k)
			}
		}
		delete(f.tables, o.id)
		delete(h.Builds, o.id)
	case delBackend:
		for id, places := range f.tables {
			if slices.ContainsFunc(places, func(p place) bool { return p.id == o.id }) {
				return fmt.Errorf("%s: table %d has it", o, id)
			}
		}
		delete(h.Backends, o.id)
	case delInterface:
		delete(h.Interfaces, o.link)
	case delPeer:
		delete(h.Peers, o.mac)
	}
	return nil
}

func TestFake(t *testing.T) { suite(t, newFake()) }

// TestKernel runs the suite against the kernel's maps.
func TestKernel(t *testing.T) { suite(t, kernelMaps(t)) }

// kernelMaps returns maps of the kernel that nobody else has.
func kernelMaps(t *testing.T) *kernel {
	t.Helper()
	spec, err := load(Sizes{Rows: 251, Flows: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ebpf.NewCollection(spec)
	switch {
	case errors.Is(err, unix.EPERM) && os.Getenv("PORTICO_LAB") == "":
		t.Skip("loading a BPF program needs CAP_BPF and CAP_NET_ADMIN")
	case err != nil:
		t.Fatal(err)
	}
	defer c.Close()
	k, err := newKernel(c, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.close() })
	return k
}

// TestEdition has each change of the services end what CPUs recall of them.
func TestEdition(t *testing.T) {
	k := kernelMaps(t)
	for _, o := range []op{{kind: setService, key: key80, service: Service{ID: 9}}, {kind: delService, key: key80}} {
		var before, after uint64
		err := errors.Join(k.Edition.Lookup(uint32(0), &before), k.apply(o), k.Edition.Lookup(uint32(0), &after))
		if err != nil || before == 0 || after <= before {
			t.Errorf("%s: edition %d, before %d (%v)", o, after, before, err)
		}
	}
}

// TestCountersOfAnID begin at nothing for each service that gets it, and go on
// as long as that one stands.
func TestCountersOfAnID(t *testing.T) {
	k := kernelMaps(t)
	follow := func(want string) (packets uint64) {
		t.Helper()
		have, err := k.read()
		if err != nil {
			t.Fatal(err)
		}
		if err := k.applyAll(diff(have, newPlan(state(t, want), have, World{Rows: 251}))); err != nil {
			t.Fatal(err)
		}
		c, err := sum(k.ServiceCounters, 1)
		if err != nil {
			t.Fatal(err)
		}
		return c.Packets
	}
	const first, second = "-A -t 192.0.2.10:80 -s mh\n", "-A -u 192.0.2.10:53 -s mh\n"
	follow(first)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	counted := make([]bpf.L4Counters, cpus)
	counted[0].Packets = 7
	if err := k.ServiceCounters.Put(uint32(1), counted); err != nil {
		t.Fatal(err)
	}
	if got := follow("-A -t 192.0.2.10:80 -s mh -b mh-port\n"); got != 7 {
		t.Errorf("a service that is changed: %d packets, want 7", got)
	}
	follow("")
	if got := follow(second); got != 0 {
		t.Errorf("the next service of the id: %d packets, want 0", got)
	}
}

// TestLastIndex is of an interface that the maps just hold.
func TestLastIndex(t *testing.T) {
	k := kernelMaps(t)
	for i, fits := range map[int]bool{maxIndex: true, maxIndex + 1: false} {
		if err := k.apply(op{kind: setInterface, link: i, mac: mac(1)}); (err == nil) != fits {
			t.Errorf("interface %d: %v", i, err)
		}
		eth := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: i, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}
		if err := objection(eth, l4.Auto, false); (err == nil) != fits {
			t.Errorf("interface %d: objection %v", i, err)
		}
	}
}

// suite brings a keeper from state to state and looks at each.
func suite(t *testing.T, k keeper) {
	for _, step := range steps {
		before, err := k.read()
		if err != nil {
			t.Fatal(err)
		}
		p := newPlan(state(t, step.want), before, step.world())
		for _, o := range diff(before, p) {
			if err := k.apply(o); err != nil {
				t.Fatalf("%s: %s: %v", step.name, o, err)
			}
		}
		after, err := k.read()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(step.holds, "\n"+after.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, d)
		}
		if again := diff(after, newPlan(state(t, step.want), after, step.world())); len(again) > 0 {
			t.Errorf("%s: and yet there is to do: %v", step.name, again)
		}
	}
}
