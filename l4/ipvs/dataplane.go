// Package ipvs is the kernel's own layer 4 balancer as an l4.Dataplane.
//
// It speaks to the network namespace of the thread that opens it: the netlink
// socket belongs to that namespace for its life, and so do the files under
// /proc/sys/net that a thread sees.
package ipvs

import (
	"errors"
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
	// handle and conn are nil until they are first needed, and again after an
	// exchange that had to be given up. The library's handle changes services
	// and timeouts; conn does what the library cannot.
	handle *ipvs.Handle
	conn   *conn
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
	if d.handle != nil && d.conn != nil {
		return nil
	}
	d.close()
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
	c, err := dial()
	if err != nil {
		h.Close()
		return fmt.Errorf("open ip_vs: %w", cure(err))
	}
	d.handle, d.conn = h, c
	return nil
}

// Close gives the kernel's sockets back. What was programmed stays.
func (d *Dataplane) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close()
}

func (d *Dataplane) close() {
	if d.handle != nil {
		d.handle.Close()
		d.handle = nil
	}
	if d.conn != nil {
		_ = d.conn.close() // nothing was written that could be lost
		d.conn = nil
	}
}

// Read returns everything this namespace's IPVS holds.
func (d *Dataplane) Read() (l4.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var s l4.State
	err := d.exchange(func(h *ipvs.Handle) error {
		timeouts, err := h.GetConfig()
		if err != nil {
			return fmt.Errorf("get timeouts: %w", cure(err))
		}
		s.Timeouts = l4.Timeouts{TCP: timeouts.TimeoutTCP, TCPFin: timeouts.TimeoutTCPFin, UDP: timeouts.TimeoutUDP}
		return nil
	})
	if err != nil {
		return l4.State{}, err
	}
	err = d.talk(func(c *conn) (err error) {
		if s.Services, err = read(c); err != nil {
			return cure(err)
		}
		if s.Daemons, err = c.daemons(); err != nil {
			return fmt.Errorf("get sync daemons: %w", cure(err))
		}
		return nil
	})
	if err != nil {
		return l4.State{}, err
	}
	s.Sysctls, err = readSysctls()
	return s, err
}

func read(c *conn) (all []l4.VirtualService, err error) {
	services, err := c.services()
	if err != nil {
		return nil, fmt.Errorf("get services: %w", err)
	}
	for _, svc := range services {
		v := fromService(svc)
		dests, err := c.destinations(svc)
		if err != nil {
			return nil, fmt.Errorf("get destinations of %s: %w", v.Key, err)
		}
		for _, dest := range dests {
			v.Destinations = append(v.Destinations, fromDestination(dest))
		}
		all = append(all, v)
	}
	return all, nil
}

// Apply makes one change. To delete what is gone already is no error: that
// another tool was faster changes nothing about the outcome.
func (d *Dataplane) Apply(op l4.Op) error {
	if op.Kind == l4.SetSysctl {
		return writeSysctl(op.Sysctl, op.Value)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if cmds := commands(op); cmds != nil {
		return d.talk(func(c *conn) error { return execute(c, op, cmds) })
	}
	return d.exchange(func(h *ipvs.Handle) error { return cureOp(op, apply(h, op)) })
}

// commands returns those of an operation that goes past the library; nil for
// one that does not.
func commands(op l4.Op) []command {
	svc, dest := toService(op.Service), toDestination(op.Dest)
	switch op.Kind {
	case l4.AddService:
		cmds := []command{{cmdNewService, about(svc.encode, nil)}}
		for _, x := range op.Service.Destinations {
			cmds = append(cmds, command{cmdNewDest, about(svc.key, toDestination(x).encode)})
		}
		return cmds
	case l4.AddDest:
		return []command{{cmdNewDest, about(svc.key, dest.encode)}}
	case l4.SetDest:
		return []command{{cmdSetDest, about(svc.key, dest.encode)}}
	case l4.DelDest:
		return []command{{cmdDelDest, about(svc.key, dest.key)}}
	case l4.StartDaemon:
		return []command{{cmdNewDaemon, daemon(op.Role, op.Daemon)}}
	case l4.StopDaemon:
		return []command{{cmdDelDaemon, daemon(op.Role, l4.Daemon{})}}
	}
	return nil
}

// execute returns the first refusal: those after it are mostly its
// consequence.
func execute(c *conn, op l4.Op, cmds []command) error {
	answers, err := c.do(cmds...)
	if err != nil {
		return err
	}
	for i, err := range answers {
		switch {
		case err == nil:
		case op.Kind == l4.DelDest, op.Kind == l4.StopDaemon:
			return unlessGone(err)
		case op.Kind == l4.StartDaemon:
			return cureDaemon(op, err)
		case i > 0:
			return fmt.Errorf("%s: %w", op.Service.Destinations[i-1].Addr, cure(err))
		default:
			return cureOp(op, err)
		}
	}
	return nil
}

func apply(h *ipvs.Handle, op l4.Op) error {
	svc := toService(op.Service).library()
	switch op.Kind {
	case l4.SetTimeouts:
		return h.SetConfig(&ipvs.Config{
			TimeoutTCP:    op.Timeouts.TCP,
			TimeoutTCPFin: op.Timeouts.TCPFin,
			TimeoutUDP:    op.Timeouts.UDP,
		})
	case l4.SetService:
		return h.UpdateService(svc)
	case l4.DelService:
		return unlessGone(h.DelService(svc))
	}
	return fmt.Errorf("operation %d is unknown", op.Kind)
}

// talk runs f on the open connection. One that owes an answer is closed.
func (d *Dataplane) talk(f func(*conn) error) error {
	if err := d.open(); err != nil {
		return err
	}
	err := f(d.conn)
	if errors.Is(err, errStale) {
		d.close()
	}
	return err
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
	d.handle = nil // open does the rest
	return fmt.Errorf("no answer from ip_vs within %s: %w", patience, os.ErrDeadlineExceeded)
}
