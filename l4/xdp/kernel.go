package xdp

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

// A keeper holds what the maps hold: the kernel's, or a fake.
type keeper interface {
	read() (Holding, error)
	apply(op) error
}

// kernel is the maps in the kernel.
type kernel struct {
	bpf.L4Maps
	tenants, builds *ebpf.Map
	rows            *ebpf.MapSpec // of a table
	// denying says that the list of denied networks is asked; life's lock
	// guards it. A list that was adopted holds until it is read.
	denying bool
}

var _ keeper = (*kernel)(nil)

// newKernel takes the maps out of a collection.
func newKernel(c *ebpf.Collection, spec *ebpf.CollectionSpec) (*kernel, error) {
	k := &kernel{rows: spec.Maps[bpf.L4MapTables].InnerMap, denying: true}
	if err := c.Assign(&k.L4Maps); err != nil {
		return nil, err
	}
	k.tenants, k.builds = c.DetachMap(mapTenants), c.DetachMap(mapBuilds)
	// Who was here before may have been stopped between a change and this.
	if err := k.revise(); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

// read returns what the maps hold, whoever put it there.
func (k *kernel) read() (Holding, error) {
	h := newHolding()
	var err error
	if h.Services, err = k.services(); err != nil {
		return h, err
	}
	var id uint32
	var t tenant
	tenants := map[uint32]tenant{}
	if err := each(k.tenants, &id, &t, func() { tenants[id] = t }); err != nil {
		return h, err
	}
	for id, t := range tenants {
		var b bpf.L4Backend
		if err := k.L4Maps.Backends.Lookup(id, &b); err != nil {
			return h, fmt.Errorf("read backend %d: %w", id, err)
		}
		h.Backends[id] = fromBackend(t, b)
	}
	var made uint64
	err = each(k.builds, &id, &made, func() { h.Builds[id] = Build(made) })
	if err != nil {
		return h, err
	}
	h.Generation = uint32(h.Builds[0])
	delete(h.Builds, 0)
	if h.Interfaces, err = k.interfaces(); err != nil {
		return h, err
	}
	var mac bpf.L4Mac
	var one uint8
	return h, each(k.L4Maps.Peers, &mac, &one, func() { h.Peers[fromMAC(mac)] = true })
}

// services reads who is balanced.
func (k *kernel) services() (map[l4.Key]Service, error) {
	found := map[l4.Key]Service{}
	var key bpf.L4ServiceKey
	var s bpf.L4Service
	err := each(k.Services, &key, &s, func() { found[fromKey(key)] = fromService(s) })
	return found, err
}

// interfaces reads the array of interfaces at one go: most of it is empty.
func (k *kernel) interfaces() (map[int]MAC, error) {
	m := k.L4Maps.Interfaces
	ids, macs := make([]uint32, m.MaxEntries()), make([]bpf.L4Mac, m.MaxEntries())
	var cursor ebpf.MapBatchCursor
	n, err := m.BatchLookup(&cursor, ids, macs, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, fmt.Errorf("read %s: %w", m, err)
	}
	found := map[int]MAC{}
	for i, mac := range macs[:n] {
		if mac != (bpf.L4Mac{}) {
			found[int(ids[i])] = fromMAC(mac)
		}
	}
	return found, nil
}

// each calls f with every entry of a map in key and value.
func each(m *ebpf.Map, key, value any, f func()) error {
	it := m.Iterate()
	for it.Next(key, value) {
		f()
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read %s: %w", m, err)
	}
	return nil
}

// apply makes one change. What is gone already may be deleted.
func (k *kernel) apply(o op) error {
	switch o.kind {
	case delService:
		return errors.Join(gone(k.Services.Delete(toKey(o.key))), k.revise())
	case setPeer:
		return k.L4Maps.Peers.Put(toMAC(o.mac), uint8(1))
	case setInterface:
		return k.L4Maps.Interfaces.Put(uint32(o.link), toMAC(o.mac))
	case setBackend:
		return k.setBackend(o)
	case setTable:
		return k.setTable(o)
	case setService:
		return k.setService(o)
	case delTable:
		return errors.Join(gone(k.Tables.Delete(o.id)), gone(k.builds.Delete(o.id)))
	case delBackend:
		// The program first: it must not send to one that nobody knows.
		return errors.Join(k.L4Maps.Backends.Put(o.id, bpf.L4Backend{}), gone(k.tenants.Delete(o.id)))
	case delInterface:
		return k.L4Maps.Interfaces.Put(uint32(o.link), bpf.L4Mac{})
	case delPeer:
		return gone(k.L4Maps.Peers.Delete(toMAC(o.mac)))
	}
	return fmt.Errorf("operation %d is unknown", o.kind)
}

// revise has every CPU forget what it recalls of services. A service is gone
// when this has returned, not before.
func (k *kernel) revise() error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	return k.Edition.Put(uint32(0), now)
}

func gone(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

func (k *kernel) setBackend(o op) error {
	if o.fresh {
		// The generation first: whatever comes between is not given out again.
		if err := k.builds.Put(uint32(0), uint64(o.backend.Generation)); err != nil {
			return err
		}
		if err := zero(k.BackendCounters, o.id); err != nil {
			return err
		}
	}
	if err := k.tenants.Put(o.id, toTenant(o.backend)); err != nil {
		return err
	}
	return k.L4Maps.Backends.Put(o.id, toBackend(o.backend))
}

func (k *kernel) setService(o op) error {
	if o.fresh {
		if err := zero(k.ServiceCounters, o.service.ID); err != nil {
			return err
		}
	}
	return errors.Join(k.Services.Put(toKey(o.key), toService(o.service)), k.revise())
}

// setTable makes a table beside the one that stands, and puts it in its place.
func (k *kernel) setTable(o op) error {
	ids := table(o.places, int(k.rows.MaxEntries))
	if ids == nil {
		return fmt.Errorf("no table of %d rows for %d servers", k.rows.MaxEntries, len(o.places))
	}
	inner, err := ebpf.NewMap(k.rows)
	if err != nil {
		return fmt.Errorf("make table: %w", err)
	}
	defer func() { _ = inner.Close() }() // it lives on in the tables
	keys := make([]uint32, len(ids))
	for row := range keys {
		keys[row] = uint32(row)
	}
	if _, err := inner.BatchUpdate(keys, ids, nil); err != nil {
		return fmt.Errorf("fill table: %w", err)
	}
	if err := k.Tables.Put(o.id, inner); err != nil {
		return err
	}
	return k.builds.Put(o.id, uint64(o.build))
}

// zero sets the counters of an id to 0, on every CPU.
func zero(m *ebpf.Map, id uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	return m.Put(id, make([]bpf.L4Counters, cpus))
}

// sum returns the counters of an id, over all CPUs.
func sum(m *ebpf.Map, id uint32) (total bpf.L4Counters, err error) {
	var each []bpf.L4Counters
	if err := m.Lookup(id, &each); err != nil {
		return total, err
	}
	for _, c := range each {
		total.Packets += c.Packets
		total.Bytes += c.Bytes
		total.Flows += c.Flows
	}
	return total, nil
}

// beat says that the director lives, for as long as limit.
func (k *kernel) beat(limit time.Duration) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	f := bpf.L4Fence{BeatNs: now, LimitNs: uint64(limit)}
	if k.denying {
		f.Denying = 1
	}
	return k.Fence.Put(uint32(0), f)
}

// monotonic is the program's clock.
func monotonic() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	return uint64(t.Nano()), nil
}

func (k *kernel) close() error {
	return errors.Join(k.L4Maps.Close(), k.tenants.Close(), k.builds.Close())
}
