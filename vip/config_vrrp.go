package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

// Defaults, those of keepalived but for the version.
const (
	defaultVersion  = 3
	defaultPriority = 100
	defaultInterval = time.Second
)

// vrrp reads [vip.vrrp] of a group whose first address is of IPv6 or not.
func (p parser) vrrp(s VRRPSection, v6 bool) VRRP {
	v := VRRP{
		Version:  p.number("version", s.Version, defaultVersion, 2, 3),
		Priority: p.number("priority", s.Priority, defaultPriority, 1, 255),
		Preempt:  s.Preempt,
	}
	if v.Version == 2 && v6 {
		p.fault("version", "2 knows IPv4 only: the first address of the group is of IPv6, which needs version 3")
	}
	if s.RouterID == nil {
		p.fault("router_id", "missing: allowed are 1 to 255, the same on all nodes and no other router's on the link")
	} else {
		v.RouterID = p.number("router_id", s.RouterID, 0, 1, 255)
	}
	v.AdvertInterval = p.interval(s.AdvertInterval, v.Version)
	if s.PreemptDelay != "" {
		v.PreemptDelay = p.preemptDelay(s)
	}
	v.Peers = p.peers(s.Peers, v6)
	if s.Password != "" || s.PasswordFile != "" {
		v.Auth, v.Password = vrrp.AuthPassword, p.password(s, v.Version)
	}
	v.SyncGroup = s.SyncGroup
	v.TTL = p.number("unicast_ttl", s.UnicastTTL, 0, 1, 255)
	v.MinTTL = p.number("unicast_min_ttl", s.UnicastMinTTL, 0, 1, 255)
	for key, given := range map[string]*int{"unicast_ttl": s.UnicastTTL, "unicast_min_ttl": s.UnicastMinTTL} {
		if len(s.Peers) == 0 && given != nil {
			p.fault(key, "has no effect without peers: multicast never leaves the link")
		}
	}
	switch s.V3Checksum {
	case "", "pseudo-header":
	case "plain":
		v.PlainChecksum = true
	default:
		p.fault("v3_checksum", "%q is unknown: allowed are \"pseudo-header\" and \"plain\"", s.V3Checksum)
	}
	v.HMAC = p.hmac(s, v)
	return v
}

func (p parser) number(key string, n *int, otherwise, low, high int) int {
	if n == nil {
		return otherwise
	}
	if *n < low || *n > high {
		p.fault(key, "%d is out of range: allowed are %d to %d", *n, low, high)
		return otherwise
	}
	return *n
}

// interval checks what the version can put on the wire: whole seconds in an
// octet (RFC 3768, section 5.3.7), or centiseconds in twelve bits (RFC 9568, section 5.2.7).
func (p parser) interval(s string, version int) time.Duration {
	if s == "" {
		return defaultInterval
	}
	low, high, unit := 10*time.Millisecond, 40*time.Second, 10*time.Millisecond
	if version == 2 {
		low, high, unit = time.Second, 255*time.Second, time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < low || d > high || d%unit != 0 {
		p.fault("advert_interval", "%q is not possible in version %d: allowed are multiples of %v from %v to %v", s, version, unit, low, high)
		return defaultInterval
	}
	return d
}

func (p parser) preemptDelay(s VRRPSection) time.Duration {
	const high = 1000 * time.Second // keepalived's
	d, err := time.ParseDuration(s.PreemptDelay)
	if err != nil || d < 0 || d > high {
		p.fault("preempt_delay", "%q is no delay: allowed are durations from 0s to %v", s.PreemptDelay, high)
		return 0
	}
	if d > 0 && !s.Preempt {
		p.fault("preempt_delay", "%v has no effect without preempt = true", d)
	}
	return d
}

func (p parser) peers(ss []string, v6 bool) []netip.Addr {
	var peers []netip.Addr
	for i, s := range ss {
		a, err := netip.ParseAddr(s)
		key := fmt.Sprintf("peers[%d]", i)
		switch {
		case err != nil || a.Zone() != "" || a.IsMulticast() || a.IsUnspecified():
			p.fault(key, "%q is no peer: allowed are unicast addresses without zone", s)
		case a.Is6() != v6:
			p.fault(key, "%v is of another family than the group's first address", a)
		case slices.Contains(peers, a):
			p.fault(key, "%v stands here twice", a)
		default:
			peers = append(peers, a)
		}
	}
	return peers
}

// password never says what it found.
func (p parser) password(s VRRPSection, version int) (pw vrrp.Password) {
	key, text := "password", s.Password
	if s.PasswordFile != "" {
		key = "password_file"
		b, err := p.readFile(s.PasswordFile)
		if err != nil {
			p.fault(key, "%v", err)
			return pw
		}
		text = strings.TrimRight(string(b), "\r\n")
	}
	switch {
	case s.Password != "" && s.PasswordFile != "":
		p.fault(key, "password and password_file are both given: one of them is enough")
	case version != 2:
		p.fault(key, "version %d has no authentication: remove the password or use version 2", version)
	case text == "" || len(text) > len(pw):
		p.fault(key, "a password of %d bytes: allowed are 1 to %d, in clear on the wire", len(text), len(pw))
	}
	copy(pw[:], text)
	return pw
}
