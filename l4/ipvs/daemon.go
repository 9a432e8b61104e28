package ipvs

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

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

// encodeDaemon writes what is set; the kernel fills in the rest.
func encodeDaemon(r l4.Role, x l4.Daemon) func(*netlink.AttributeEncoder) {
	return func(e *netlink.AttributeEncoder) {
		e.Uint32(daemonState, uint32(r))
		e.String(daemonInterface, x.Interface)
		e.Uint32(daemonSyncID, uint32(x.ID))
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
}

func decodeDaemon(d *netlink.AttributeDecoder) (r l4.Role, x l4.Daemon, err error) {
	for d.Next() {
		switch d.Type() {
		case daemonState:
			r = l4.Role(d.Uint32())
		case daemonInterface:
			x.Interface = d.String()
		case daemonSyncID:
			x.ID = int(d.Uint32())
		case daemonMaxLen:
			x.MaxLen = int(d.Uint16())
		case daemonGroup, daemonGroup6:
			if a, ok := netip.AddrFromSlice(d.Bytes()); ok && !a.IsUnspecified() {
				x.Group = a
			}
		case daemonPort:
			x.Port = d.Uint16()
		case daemonTTL:
			x.TTL = d.Uint8()
		}
	}
	return r, x, d.Err()
}

// daemons lists the sync daemons that run.
func (c *conn) daemons() (map[l4.Role]l4.Daemon, error) {
	ds, err := c.dump(command{number: cmdGetDaemon})
	if err != nil {
		return nil, err
	}
	all := map[l4.Role]l4.Daemon{}
	for _, d := range ds {
		for d.Next() {
			if d.Type() != attrDaemon {
				continue
			}
			d.Nested(func(inner *netlink.AttributeDecoder) error {
				r, x, err := decodeDaemon(inner)
				all[r] = x
				return err
			})
		}
		if err := d.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// daemon returns the attributes of a command on a sync daemon.
func daemon(r l4.Role, x l4.Daemon) func(*netlink.AttributeEncoder) {
	describe := encodeDaemon(r, x)
	return func(e *netlink.AttributeEncoder) {
		e.Nested(attrDaemon, func(inner *netlink.AttributeEncoder) error { describe(inner); return nil })
	}
}

// cureDaemon adds what to do about it to the kernel's refusal to start a sync
// daemon.
func cureDaemon(op l4.Op, err error) error {
	x := op.Daemon
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("a %s runs already, started by another tool just now: %w", op.Role, err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("there is no interface %s: %w", x.Interface, err)
	case errors.Is(err, unix.ENETUNREACH):
		return fmt.Errorf("%s is down, or lacks the family of %s: bring it up, or take another l4.sync.group: %w", x.Interface, x.Group, err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("ip_vs of this kernel has no IPv6 (CONFIG_IP_VS_IPV6): take an l4.sync.group of IPv4: %w", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("not possible beside servers whose family is not their service's, of portico or another tool: %w", err)
	}
	return cure(err)
}
