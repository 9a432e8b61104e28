// Package ipvs is the kernel's own layer 4 balancer as an l4.Dataplane.
//
// It speaks to the network namespace of the thread that opens it: the netlink
// socket belongs to that namespace for its life, and so do the files under
// /proc/sys/net that a thread sees.
package ipvs

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"

	"github.com/portico-lb/portico/l4"
)

// patience is how long one exchange with the kernel may take. It answers in
// microseconds; what takes this long has lost its answer, and the library
// would wait for that for ever.
const patience = 5 * time.Second

// A Dataplane is the IPVS of one network namespace.
type Dataplane struct {
	mu sync.Mutex
	// handle is nil until it is first needed, and again after an exchange
	// that had to be given up.
	handle *ipvs.Handle
}

var _ l4.Dataplane = (*Dataplane)(nil)

// New returns a Dataplane that opens itself when it is first used. So a node
// without services needs no ip_vs, and one whose module comes late is served
// when it has come.
func New() *Dataplane { return &Dataplane{} }

// Open opens the dataplane now, to learn early whether that can be done.
func (d *Dataplane) Open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open()
}

func (d *Dataplane) open() error {
	if d.handle != nil {
		return nil
	}
	// The library asks for the kernel's family number once in a process, and
	// keeps a wrong one if ip_vs is not there yet.
	if err := available(); err != nil {
		return err
	}
	// What the library logs, that modprobe is out of reach in a sandbox for
	// one, goes past our log and is no fault: ip_vs is there.
	logrus.SetOutput(io.Discard)
	h, err := ipvs.New("")
	if err != nil {
		return fmt.Errorf("open ip_vs: %w", cure(err))
	}
	d.handle = h
	return nil
}

// Close gives the kernel's socket back. What was programmed stays.
func (d *Dataplane) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handle != nil {
		d.handle.Close()
		d.handle = nil
	}
}

// Read returns everything this namespace's IPVS holds, except services by
// firewall mark, which are never ours.
func (d *Dataplane) Read() (l4.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var s l4.State
	err := d.exchange(func(h *ipvs.Handle) (err error) {
		s, err = read(h)
		return cure(err)
	})
	if err != nil {
		return l4.State{}, err
	}
	s.Sysctls, err = readSysctls()
	return s, err
}

func read(h *ipvs.Handle) (s l4.State, err error) {
	timeouts, err := h.GetConfig()
	if err != nil {
		return s, fmt.Errorf("get timeouts: %w", err)
	}
	s.Timeouts = l4.Timeouts{TCP: timeouts.TimeoutTCP, TCPFin: timeouts.TimeoutTCPFin, UDP: timeouts.TimeoutUDP}
	services, err := h.GetServices()
	if err != nil {
		return s, fmt.Errorf("get services: %w", err)
	}
	for _, svc := range services {
		if svc.FWMark != 0 {
			continue
		}
		v := fromService(svc)
		dests, err := h.GetDestinations(svc)
		if err != nil {
			return s, fmt.Errorf("get destinations of %s: %w", v.Key, err)
		}
		for _, dest := range dests {
			v.Destinations = append(v.Destinations, fromDestination(dest))
		}
		s.Services = append(s.Services, v)
	}
	return s, nil
}

// Apply makes one change. To delete what is gone already is no error: that
// another tool was faster changes nothing about the outcome.
func (d *Dataplane) Apply(op l4.Op) error {
	if op.Kind == l4.SetSysctl {
		return writeSysctl(op.Sysctl, op.Value)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.exchange(func(h *ipvs.Handle) error { return cureOp(op, apply(h, op)) })
}

func apply(h *ipvs.Handle, op l4.Op) error {
	svc, dest := toService(op.Service), toDestination(op.Dest)
	switch op.Kind {
	case l4.SetTimeouts:
		return h.SetConfig(&ipvs.Config{
			TimeoutTCP:    op.Timeouts.TCP,
			TimeoutTCPFin: op.Timeouts.TCPFin,
			TimeoutUDP:    op.Timeouts.UDP,
		})
	case l4.AddService:
		return h.NewService(svc)
	case l4.SetService:
		return h.UpdateService(svc)
	case l4.DelService:
		return unlessGone(h.DelService(svc))
	case l4.AddDest:
		return h.NewDestination(svc, dest)
	case l4.SetDest:
		return h.UpdateDestination(svc, dest)
	case l4.DelDest:
		return unlessGone(h.DelDestination(svc, dest))
	}
	return fmt.Errorf("operation %d is unknown", op.Kind)
}

// exchange runs f on the open handle, within patience. The library retries a
// read that timed out without end; closing its socket is what ends it, and a
// new one is opened at the next use.
func (d *Dataplane) exchange(f func(*ipvs.Handle) error) error {
	if err := d.open(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- f(d.handle) }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	}
	d.handle.Close()
	<-done
	d.handle = nil
	return fmt.Errorf("no answer from ip_vs within %s: %w", patience, os.ErrDeadlineExceeded)
}
