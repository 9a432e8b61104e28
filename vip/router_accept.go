package vip

import (
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

// accept filters a datagram and counts what became of it.
func (s *speaker) accept(d vrrp.Datagram) (vrrp.Advert, bool) {
	g, _, _ := s.config()
	p, verdict := vrrp.Filter{
		Version: uint8(g.VRRP.Version), VRID: uint8(g.VRRP.RouterID), Interval: g.VRRP.AdvertInterval,
		Auth: g.VRRP.Auth, Password: g.VRRP.Password, Own: s.line.Source(), Peers: g.VRRP.Peers,
		Network: s.line.Network(), MinTTL: g.VRRP.MinTTL,
	}.Accept(d)
	if verdict == vrrp.Accepted {
		verdict = s.guard.Check(g.VRRP.HMAC, p, d.Src, time.Now(), len(g.VRRP.Peers))
	}
	if verdict != vrrp.Accepted {
		s.dropped(g, d, verdict)
		return vrrp.Advert{}, false
	}
	s.count(func(c *counts) { c.received++ })
	if p.Interval != g.VRRP.AdvertInterval {
		s.odd(oddity{d.Src, "interval"}, p.Interval.String(), g.VRRP.AdvertInterval)
	}
	if ours := g.advertised(); !sameAddrs(p.Addrs, ours) {
		s.odd(oddity{d.Src, "addresses"}, addrsText(p.Addrs), ours)
	}
	return vrrp.Advert{Src: d.Src, Priority: p.Priority, Interval: p.Interval}, true
}

// dropped counts what was not accepted, and logs what may be a mistake once a
// sender. Adverts of this node's other groups are nothing to count.
func (s *speaker) dropped(g Group, d vrrp.Datagram, v vrrp.Verdict) {
	if v == vrrp.OtherVRID && slices.Contains(g.VRRP.Siblings, int(d.Payload[1])) {
		return
	}
	s.count(func(c *counts) { c.dropped[v]++ })
	if v != vrrp.OtherVRID && v != vrrp.OwnAddress && s.news(oddity{d.Src, "dropped"}, v.String()) {
		s.log.Warn("advert not accepted", "from", d.Src, "reason", v.String())
	}
}

// oddity is what an advert has that ours have not.
type oddity struct {
	src  netip.Addr
	what string
}

// odd counts an oddity, and logs it when it is news.
func (s *speaker) odd(o oddity, theirs string, ours any) {
	s.count(func(c *counts) {
		if c.odd == nil {
			c.odd = map[string]uint64{}
		}
		c.odd[o.what]++
	})
	if s.news(o, theirs) {
		s.log.Warn("adverts differ from ours", "in", o.what, "from", o.src, "theirs", theirs, "ours", ours)
	}
}

// news reports whether the oddity was another one when it was last met.
func (s *speaker) news(o oddity, is string) bool {
	if s.seen[o] == is {
		return false
	}
	if s.seen == nil || len(s.seen) > 100 { // anybody on the link can send
		s.seen = map[oddity]string{}
	}
	s.seen[o] = is
	return true
}

func sameAddrs(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	return !slices.ContainsFunc(a, func(x netip.Addr) bool { return !slices.Contains(b, x) })
}

func addrsText(as []netip.Addr) string {
	text := ""
	for i, a := range as {
		if i > 0 {
			text += " "
		}
		text += a.String()
	}
	return text
}
