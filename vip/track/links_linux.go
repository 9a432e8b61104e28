package track

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// links are the interfaces that the kernel has.
type links struct {
	names map[int]string    // by index
	why   map[string]string // by name: what is wrong with it; "" is nothing
}

// linkChange is what a message of the kernel says. The zero linkChange means
// that messages were lost.
type linkChange struct {
	index     int
	name, why string
	gone      bool
}

func readLinks() (links, error) {
	all, err := net.Interfaces()
	if err != nil {
		return links{}, fmt.Errorf("read interfaces: %w", err)
	}
	l := links{map[int]string{}, map[string]string{}}
	for _, i := range all {
		l.apply(linkChange{index: i.Index, name: i.Name, why: complaint(i.Flags&net.FlagUp != 0, i.Flags&net.FlagRunning != 0)})
	}
	return l, nil
}

func complaint(up, running bool) string {
	switch {
	case !up:
		return "down"
	case !running:
		return "no carrier"
	}
	return ""
}

// apply takes over one change; an interface may have another name than before.
func (l links) apply(c linkChange) {
	if old, ok := l.names[c.index]; ok {
		delete(l.why, old)
		delete(l.names, c.index)
	}
	if !c.gone {
		l.names[c.index], l.why[c.name] = c.name, c.why
	}
}

func (l links) complaint(name string) string {
	if why, ok := l.why[name]; ok {
		return why
	}
	return "does not exist"
}

// listen tells of the interfaces' changes until ctx ends or the socket breaks.
func listen(ctx context.Context, s *nl.NetlinkSocket, tell chan<- linkChange) error {
	for {
		msgs, _, err := s.Receive()
		var changes []linkChange
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end is not an error
		}
		switch {
		case errors.Is(err, unix.ENOBUFS):
			changes = []linkChange{{}}
		case err != nil:
			return fmt.Errorf("receive interface changes: %w", err)
		}
		for _, m := range msgs {
			if c, ok := parseLink(m); ok {
				changes = append(changes, c)
			}
		}
		for _, c := range changes {
			select {
			case tell <- c:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func parseLink(m syscall.NetlinkMessage) (c linkChange, ok bool) {
	if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK || len(m.Data) < unix.SizeofIfInfomsg {
		return c, false
	}
	head := nl.DeserializeIfInfomsg(m.Data)
	if head.Family != unix.AF_UNSPEC {
		return c, false // of a bridge: RTM_DELLINK says that the interface left it
	}
	attrs, err := nl.ParseRouteAttr(m.Data[unix.SizeofIfInfomsg:])
	if err != nil {
		return c, false
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_IFNAME {
			c = linkChange{
				index: int(head.Index), name: unix.ByteSliceToString(a.Value), gone: m.Header.Type == unix.RTM_DELLINK,
				why: complaint(head.Flags&unix.IFF_UP != 0, head.Flags&unix.IFF_RUNNING != 0),
			}
			return c, true
		}
	}
	return c, false
}
