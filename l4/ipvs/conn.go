package ipvs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	vnetlink "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A conn is a netlink socket to the IPVS of the namespace it was opened in. It
// carries what moby/ipvs does not know: the family and the tunnel of a server,
// counters that do not wrap, several commands in one message, sync daemons.
type conn struct {
	nl     *socket
	family uint16
}

func dial() (*conn, error) {
	family, err := vnetlink.GenlFamilyGet("IPVS")
	if err != nil {
		return nil, err
	}
	nl, err := openSocket()
	if err != nil {
		return nil, err
	}
	return &conn{nl, family.ID}, nil
}

// A command is one request: its number and the attributes that go with it.
type command struct {
	number uint8
	attrs  func(*netlink.AttributeEncoder)
}

// about returns the attributes of a command on a service, named by its key
// alone or described whole, and perhaps one of its servers.
func about(describe func(*netlink.AttributeEncoder), server func(*netlink.AttributeEncoder)) func(*netlink.AttributeEncoder) {
	nest := func(e *netlink.AttributeEncoder, typ uint16, f func(*netlink.AttributeEncoder)) {
		e.Nested(typ, func(inner *netlink.AttributeEncoder) error { f(inner); return nil })
	}
	return func(e *netlink.AttributeEncoder) {
		nest(e, attrService, describe)
		if server != nil {
			nest(e, attrDest, server)
		}
	}
}

func (c *conn) message(cmd command, flags netlink.HeaderFlags) (netlink.Message, error) {
	e := netlink.NewAttributeEncoder()
	if cmd.attrs != nil {
		cmd.attrs(e)
	}
	attrs, err := e.Encode()
	if err != nil {
		return netlink.Message{}, err
	}
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(c.family), Flags: netlink.Request | flags},
		// struct genlmsghdr: the command, version 1, two bytes reserved.
		Data: append([]byte{cmd.number, 1, 0, 0}, attrs...),
	}, nil
}

// errStale says that the socket can be used no more: an answer that is still
// to come would be taken for another's.
var errStale = errors.New("no answer from ip_vs")

// stale tells what leaves the socket in doubt from an answer of the kernel's,
// which is a number.
func stale(err error) error {
	var no unix.Errno
	if err == nil || errors.As(err, &no) && no != unix.ENOBUFS {
		return err
	}
	return fmt.Errorf("%w: %w", errStale, err)
}

// atOnce bounds the commands of one system call: their answers wait in the
// socket's buffer until they are read, and what finds no room there is lost.
const atOnce = 64

// do executes the commands, up to atOnce of them in one system call, so that
// nothing of this process comes between them, and returns the kernel's answer
// to each. It goes on after a refusal.
func (c *conn) do(cmds ...command) ([]error, error) {
	var answers []error
	for some := range slices.Chunk(cmds, atOnce) {
		more, err := c.doSome(some)
		if err != nil {
			return nil, err
		}
		answers = append(answers, more...)
	}
	return answers, nil
}

func (c *conn) doSome(cmds []command) ([]error, error) {
	ms := make([]netlink.Message, 0, len(cmds))
	for _, cmd := range cmds {
		m, err := c.message(cmd, netlink.Acknowledge)
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	if err := c.nl.send(ms...); err != nil {
		return nil, stale(err)
	}
	answers := make([]error, len(ms))
	for i := range ms {
		// Each is acknowledged by a message of its own, in order.
		m, err := c.nl.receive()
		if err = stale(err); errors.Is(err, errStale) {
			return nil, err
		}
		if want := c.nl.seq - uint32(len(ms)-1-i); m.Header.Sequence != want {
			return nil, fmt.Errorf("%w: answer %d to question %d", errStale, m.Header.Sequence, want)
		}
		answers[i] = err
	}
	return answers, nil
}

// dump returns the attributes of each entry that the kernel lists.
func (c *conn) dump(cmd command) ([]*netlink.AttributeDecoder, error) {
	m, err := c.message(cmd, netlink.Dump)
	if err != nil {
		return nil, err
	}
	listed, err := c.nl.dump(m)
	if err != nil {
		return nil, stale(err)
	}
	var ds []*netlink.AttributeDecoder
	for _, data := range listed {
		if len(data) < 4 {
			return nil, errors.New("answer without a header")
		}
		d, err := netlink.NewAttributeDecoder(data[4:])
		if err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return ds, nil
}

// services lists the virtual services with their counters.
func (c *conn) services() ([]service, error) {
	ds, err := c.dump(command{number: cmdGetService})
	if err != nil {
		return nil, err
	}
	var all []service
	for _, d := range ds {
		for d.Next() {
			if d.Type() != attrService {
				continue
			}
			d.Nested(func(inner *netlink.AttributeDecoder) error {
				s, err := decodeService(inner)
				all = append(all, s)
				return err
			})
		}
		if err := d.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// destinations lists the servers of s in the kernel's order.
func (c *conn) destinations(s service) ([]destination, error) {
	ds, err := c.dump(command{cmdGetDest, about(s.key, nil)})
	if err != nil {
		return nil, err
	}
	var all []destination
	for _, d := range ds {
		for d.Next() {
			if d.Type() != attrDest {
				continue
			}
			d.Nested(func(inner *netlink.AttributeDecoder) error {
				x, err := decodeDestination(inner, s.family)
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

func (c *conn) close() error { return c.nl.close() }
