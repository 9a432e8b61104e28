// Package l4test has what a test of a dataplane's user, or of a dataplane,
// needs: a fake that behaves as the kernel does, and one suite for all.
package l4test

import (
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

// A Fake is a dataplane in memory. It keeps what the kernel keeps, in the
// kernel's order, and refuses what the kernel refuses.
type Fake struct {
	mu    sync.Mutex
	state l4.State
	ops   []string
	// refuse, if set, may refuse an operation before it is looked at.
	refuse func(l4.Op) error
	// broken is what Read returns, if set.
	broken error
}

var _ l4.Dataplane = (*Fake)(nil)

var schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq"}

// NewFake returns an empty dataplane with the kernel's default settings.
func NewFake() *Fake {
	return &Fake{state: l4.State{
		Sysctls:  map[string]int{"expire_nodest_conn": 0, "expire_quiescent_template": 0, "sloppy_tcp": 0, "sloppy_sctp": 0, "backup_only": 0},
		Timeouts: DefaultTimeouts,
		Daemons:  map[l4.Role]l4.Daemon{},
	}}
}

// Refuse makes Apply return what refuse returns, unless that is nil.
func (f *Fake) Refuse(refuse func(l4.Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
}

// Break makes Read return err.
func (f *Fake) Break(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

// Ops returns what was applied since the last call.
func (f *Fake) Ops() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ops := f.ops
	f.ops = nil
	return ops
}

// Count makes a destination have connections, as traffic would.
func (f *Fake) Count(k l4.Key, server netip.AddrPort, active, persistent int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.state.Find(k).Find(server)
	d.Active, d.Persistent = active, persistent
}

// String prints the services as `ipvsadm -Sn` does, destinations in the
// kernel's order.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.String()
}

// Table says what the kernel would build an mh table from: each destination
// with its latest weight that was not 0, in order.
func (f *Fake) Table(k l4.Key) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rows []string
	if v := f.state.Find(k); v != nil {
		for _, d := range v.Destinations {
			rows = append(rows, fmt.Sprintf("%s*%d", d.Addr.Addr(), d.Base))
		}
	}
	return strings.Join(rows, " ")
}

// Read returns what the dataplane holds. Like the kernel it does not tell the
// bases.
func (f *Fake) Read() (l4.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return l4.State{}, f.broken
	}
	s := f.state
	s.Sysctls = maps.Clone(s.Sysctls)
	s.Daemons = maps.Clone(s.Daemons)
	s.Services = slices.Clone(s.Services)
	for i := range s.Services {
		v := &s.Services[i]
		v.Destinations = slices.Clone(v.Destinations)
		for j := range v.Destinations {
			v.Destinations[j].Base = 0
		}
	}
	return s, nil
}

// Apply makes one change, or returns the kernel's errno.
func (f *Fake) Apply(op l4.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		if err := f.refuse(op); err != nil {
			return err
		}
	}
	if err := f.apply(op); err != nil {
		return err
	}
	f.ops = append(f.ops, op.String())
	return nil
}

func (f *Fake) apply(op l4.Op) error {
	v := f.state.Find(op.Service.Key)
	switch op.Kind {
	case l4.SetSysctl:
		if _, ok := f.state.Sysctls[op.Sysctl]; !ok {
			return fs.ErrNotExist
		}
		f.state.Sysctls[op.Sysctl] = op.Value
	case l4.SetTimeouts:
		f.state.Timeouts = op.Timeouts
	case l4.StartDaemon, l4.StopDaemon:
		return f.applyDaemon(op)
	case l4.AddService:
		if v != nil {
			return unix.EEXIST
		}
		if !slices.Contains(schedulers, op.Service.Scheduler) {
			return unix.ENOENT
		}
		bare := op.Service
		bare.Destinations = nil
		f.state.Services = append(f.state.Services, bare)
		v = f.state.Find(bare.Key)
		for _, d := range op.Service.Destinations {
			if err := f.applyTo(v, l4.Op{Kind: l4.AddDest, Service: bare, Dest: d}); err != nil {
				return err
			}
		}
	default:
		if v == nil {
			return unix.ESRCH
		}
		return f.applyTo(v, op)
	}
	return nil
}

func (f *Fake) applyTo(v *l4.VirtualService, op l4.Op) error {
	at := slices.IndexFunc(v.Destinations, func(d l4.Destination) bool { return d.Addr == op.Dest.Addr })
	switch op.Kind {
	case l4.SetService:
		v.Scheduler, v.Flags = op.Service.Scheduler, op.Service.Flags
		v.Persistence, v.Prefix = op.Service.Persistence, op.Service.Prefix
		return nil
	case l4.DelService:
		f.state.Services = slices.DeleteFunc(f.state.Services, func(s l4.VirtualService) bool { return s.Key == v.Key })
		return nil
	case l4.AddDest:
		if at >= 0 {
			return unix.EEXIST
		}
		if op.Dest.Addr.Addr().Is4() != v.Key.Addr.Addr().Is4() && op.Dest.Forward != l4.Tunnel {
			return unix.EINVAL
		}
		d := op.Dest
		d.Base = d.Weight
		// At the head: ip_vs_ctl.c, __ip_vs_update_dest.
		v.Destinations = slices.Insert(v.Destinations, 0, d)
		return nil
	}
	if at < 0 {
		return unix.ENOENT
	}
	if op.Kind == l4.DelDest {
		v.Destinations = slices.Delete(v.Destinations, at, at+1)
		return nil
	}
	d := &v.Destinations[at]
	d.Forward, d.Encap, d.Weight = op.Dest.Forward, op.Dest.Encap, op.Dest.Weight
	d.Upper, d.Lower = op.Dest.Upper, op.Dest.Lower
	if d.Weight != 0 {
		d.Base = d.Weight
	}
	return nil
}

// interfaces are those of the machine that the fake stands for.
var interfaces = []string{"lo", "eth0"}

func (f *Fake) applyDaemon(op l4.Op) error {
	_, runs := f.state.Daemons[op.Role]
	switch {
	case op.Kind == l4.StopDaemon && !runs:
		return nil // gone already, as deletions are
	case op.Kind == l4.StopDaemon:
		delete(f.state.Daemons, op.Role)
		return nil
	case runs:
		return unix.EEXIST
	case !slices.Contains(interfaces, op.Daemon.Interface):
		return unix.ENODEV
	}
	d := op.Daemon
	if d.MaxLen == 0 {
		d.MaxLen = 1472 // of an Ethernet frame, beside the headers of IPv4 and UDP
	}
	f.state.Daemons[op.Role] = d
	return nil
}
