package addr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Mark is the protocol (IFA_PROTO) of the addresses that this package puts up;
// the number is VRRP's. The kernel keeps it since 5.18 and ignores it before;
// 0 to 3 are its own (include/uapi/linux/if_addr.h).
const Mark = 112

// Events of an RTM_NEWLINK message, of include/uapi/linux/if_link.h. VLANs on
// a bond have them too (net/8021q/vlan.c, vlan_device_event).
const (
	eventBondingFailover = 3 // IFLA_EVENT_BONDING_FAILOVER
	eventNotifyPeers     = 4 // IFLA_EVENT_NOTIFY_PEERS
)

// ifaProto is IFA_PROTO of include/uapi/linux/if_addr.h.
const ifaProto = 11

// Read returns the interfaces and their addresses.
func Read() (State, error) {
	links, err := net.Interfaces()
	if err != nil {
		return State{}, fmt.Errorf("read interfaces: %w", err)
	}
	s := State{Links: make(map[string]Link, len(links))}
	names := make(map[uint32]string, len(links))
	for _, l := range links {
		names[uint32(l.Index)] = l.Name
		link := Link{Index: l.Index, Up: l.Flags&net.FlagUp != 0 && l.Flags&net.FlagRunning != 0}
		if len(l.HardwareAddr) == len(link.MAC) {
			link.MAC = [6]byte(l.HardwareAddr)
		}
		s.Links[l.Name] = link
	}
	msgs, err := dump()
	if err != nil {
		return State{}, fmt.Errorf("read addresses: %w", err)
	}
	for _, m := range msgs {
		f, index, err := parse(m)
		if err != nil {
			return State{}, fmt.Errorf("read addresses: %w", err)
		}
		// An interface that appeared between the two dumps rings the watcher's bell.
		if f.Link = names[index]; f.Link != "" && f.Prefix.IsValid() {
			s.Addrs = append(s.Addrs, f)
		}
	}
	return s, nil
}

// dumpTries is how often a dump is repeated that another's change fell into.
// At a take-over that is likely, and a try later costs less than a round later.
const dumpTries = 10

// dump lists the addresses of all interfaces.
func dump() (msgs [][]byte, err error) {
	for range dumpTries {
		req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		if msgs, err = req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR); !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	return msgs, err
}

// parse reads the body of an RTM_NEWADDR or RTM_DELADDR message. The prefix
// is invalid for families other than IP.
func parse(m []byte) (f Found, index uint32, err error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return f, 0, fmt.Errorf("address message of %d bytes: %w", len(m), unix.EINVAL)
	}
	head := nl.DeserializeIfAddrmsg(m)
	attrs, err := nl.ParseRouteAttr(m[head.Len():])
	if err != nil {
		return f, 0, err
	}
	f.Unusable = head.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0
	var local, address netip.Addr
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(a.Value)
		case ifaProto:
			f.Marked = len(a.Value) == 1 && a.Value[0] == Mark
		}
	}
	if !local.IsValid() { // IPv6 has it only on point-to-point links, where the other is the peer's
		local = address
	}
	if local.IsValid() {
		f.Prefix = netip.PrefixFrom(local, int(head.Prefixlen))
	}
	return f, head.Index, nil
}

// Apply makes one change. What is already as wanted is no error: another tool
// may have been quicker.
func Apply(o Op) error {
	ifi, err := net.InterfaceByName(o.Link)
	if err != nil {
		if !o.Add {
			return nil // the address went with its interface
		}
		return fmt.Errorf("%v: interface %s does not exist: create it or name another", o, o.Link)
	}
	kind, flags, done := unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, unix.EEXIST
	if !o.Add {
		kind, flags, done = unix.RTM_DELADDR, 0, unix.EADDRNOTAVAIL
	}
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	encode(req, ifi.Index, o.Address)
	_, err = req.Execute(unix.NETLINK_ROUTE, 0)
	switch {
	case err == nil, errors.Is(err, done):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%v: %w: the process needs CAP_NET_ADMIN", o, err)
	}
	return fmt.Errorf("%v: %w", o, err)
}

// encode appends header and attributes of the address to the request.
func encode(req *nl.NetlinkRequest, index int, a Address) {
	ip := a.Prefix.Addr()
	head := nl.NewIfAddrmsg(nl.FAMILY_V4)
	if ip.Is6() {
		head.Family = nl.FAMILY_V6
	}
	head.Index, head.Prefixlen = uint32(index), uint8(a.Prefix.Bits())
	if a.Link == Loopback && ip.Is4() {
		// Never chosen as the source of what this host sends; answers to
		// clients name their source themselves.
		head.Scope = unix.RT_SCOPE_HOST
	}
	req.AddData(head)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip.AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, ip.AsSlice()))
	req.AddData(nl.NewRtAttr(ifaProto, []byte{Mark}))
	if ip.Is6() {
		// Duplicate address detection would keep the address tentative for a
		// second, and find it on the previous owner. Preferred lifetime 0 keeps
		// it from becoming a source address (RFC 6724, section 5, rule 3).
		req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(unix.IFA_F_NODAD)))
		const forever = ^uint32(0)
		var life []byte // struct ifa_cacheinfo: preferred, valid, created, updated
		for _, v := range []uint32{0, forever, 0, 0} {
			life = append(life, nl.Uint32Attr(v)...)
		}
		req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life))
	}
}

// Change is what happened in the kernel: to an interface or to an address.
// The zero Change means that messages were lost, so anything may have changed.
type Change struct {
	Link string
	Addr netip.Addr
	// Moved says that switches may have to learn anew where the interface is:
	// it is without carrier and will come back, or a bond goes on by another
	// port, or a virtual machine on another host.
	Moved bool
}

// Watch calls changed for every change of interfaces and addresses until ctx
// ends, and once when it has begun to listen, for what happened before.
func Watch(ctx context.Context, changed func(Change)) error {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("subscribe to address changes: %w", err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	changed(Change{})
	for {
		msgs, _, err := s.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			changed(Change{})
		case err != nil:
			return fmt.Errorf("receive address changes: %w", err)
		}
		for _, m := range msgs {
			if c, ok := change(m); ok {
				changed(c)
			}
		}
	}
}

func change(m syscall.NetlinkMessage) (Change, bool) {
	switch m.Header.Type {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		f, _, err := parse(m.Data)
		return Change{Addr: f.Prefix.Addr()}, err == nil && f.Prefix.IsValid()
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return Change{}, false
		}
		attrs, err := nl.ParseRouteAttr(m.Data[unix.SizeofIfInfomsg:])
		if err != nil {
			return Change{}, false
		}
		return linkChange(nl.DeserializeIfInfomsg(m.Data), attrs)
	}
	return Change{}, false
}

func linkChange(head *nl.IfInfomsg, attrs []syscall.NetlinkRouteAttr) (Change, bool) {
	c := Change{Moved: head.Flags&unix.IFF_RUNNING == 0}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFLA_IFNAME:
			c.Link = unix.ByteSliceToString(a.Value)
		case unix.IFLA_EVENT:
			if len(a.Value) == 4 {
				e := nl.NativeEndian().Uint32(a.Value)
				c.Moved = c.Moved || e == eventBondingFailover || e == eventNotifyPeers
			}
		}
	}
	return c, c.Link != ""
}
