package ipvs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Daemon is a sync daemon: a thread of the kernel that tells other
// directors of this one's connections by multicast, or listens to theirs. A
// network namespace has at most one of each role.
type Daemon struct {
	Role Role
	// Interface carries the multicast.
	Interface string
	// SyncID, 0 to 255, tells groups of directors on one network apart; a
	// backup with 0 listens to all.
	SyncID int
	// MaxLen is the largest message, in bytes; 0 is what fits the interface.
	MaxLen int
	// Group and Port are where it is sent; the zero values are the kernel's
	// 224.0.0.81 and 8848.
	Group netip.Addr
	Port  uint16
	// TTL of the packets; 0 is the kernel's 1.
	TTL uint8
}

// A Role is what a sync daemon does; the numbers are the kernel's.
type Role uint32

// The roles.
const (
	Master Role = 1 // tells
	Backup Role = 2 // listens
)

// String returns the role as ipvsadm prints it.
func (r Role) String() string {
	switch r {
	case Master:
		return "master"
	case Backup:
		return "backup"
	}
	return fmt.Sprintf("role %d", uint32(r))
}

const (
	daemonState     = 1
	daemonInterface = 2
	daemonSyncID    = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8
)

func (x Daemon) encode(e *netlink.AttributeEncoder) {
	e.Uint32(daemonState, uint32(x.Role))
	e.String(daemonInterface, x.Interface)
	e.Uint32(daemonSyncID, uint32(x.SyncID))
	if x.MaxLen != 0 {
		e.Uint16(daemonMaxLen, uint16(x.MaxLen))
	}
	switch {
	case x.Group.Is4():
		e.Bytes(daemonGroup, x.Group.AsSlice())
	case x.Group.Is6():
		e.Bytes(daemonGroup6, x.Group.AsSlice())
	}
	if x.Port != 0 {
		e.Uint16(daemonPort, x.Port) // in the host's byte order, unlike other ports
	}
	if x.TTL != 0 {
		e.Uint8(daemonTTL, x.TTL)
	}
}

func decodeDaemon(d *netlink.AttributeDecoder) (x Daemon, err error) {
	for d.Next() {
		switch d.Type() {
		case daemonState:
			x.Role = Role(d.Uint32())
		case daemonInterface:
			x.Interface = d.String()
		case daemonSyncID:
			x.SyncID = int(d.Uint32())
		case daemonMaxLen:
			x.MaxLen = int(d.Uint16())
		case daemonGroup, daemonGroup6:
			if a, ok := netip.AddrFromSlice(slices.Clone(d.Bytes())); ok && !a.IsUnspecified() {
				x.Group = a
			}
		case daemonPort:
			x.Port = d.Uint16()
		case daemonTTL:
			x.TTL = d.Uint8()
		}
	}
	return x, d.Err()
}

func (c *conn) daemons() ([]Daemon, error) {
	ds, err := c.dump(command{number: cmdGetDaemon})
	if err != nil {
		return nil, err
	}
	var all []Daemon
	for _, d := range ds {
		for d.Next() {
			if d.Type() != attrDaemon {
				continue
			}
			d.Nested(func(inner *netlink.AttributeDecoder) error {
				x, err := decodeDaemon(inner)
				all = append(all, x)
				return err
			})
		}
		if err := d.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Daemons returns the sync daemons that run, with the kernel's values where
// none were given.
func (d *Dataplane) Daemons() ([]Daemon, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Daemon
	err := d.talk(func(c *conn) (err error) {
		all, err = c.daemons()
		return err
	})
	return all, err
}

// StartDaemon starts a sync daemon. One of its role must not run yet.
func (d *Dataplane) StartDaemon(x Daemon) error {
	err := d.daemon(cmdNewDaemon, x)
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("start sync daemon: a %s runs already: %w", x.Role, err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("start sync daemon: there is no interface %s: %w", x.Interface, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("start sync daemon: not possible beside servers whose family is not their service's: %w", err)
	case err != nil:
		return fmt.Errorf("start sync daemon: %w", err)
	}
	return nil
}

// StopDaemon stops the sync daemon of a role. That none runs is no error.
func (d *Dataplane) StopDaemon(r Role) error {
	if err := d.daemon(cmdDelDaemon, Daemon{Role: r}); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop sync daemon: %w", err)
	}
	return nil
}

func (d *Dataplane) daemon(number uint8, x Daemon) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.talk(func(c *conn) error {
		answers, err := c.do(command{number, func(e *netlink.AttributeEncoder) {
			e.Nested(attrDaemon, func(inner *netlink.AttributeEncoder) error { x.encode(inner); return nil })
		}})
		if err != nil {
			return err
		}
		return cure(answers[0])
	})
}
