package l4

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// usualDrain stands where nobody wrote down how long a service drains; it is
// what the configuration has by default.
const usualDrain = time.Minute

// A past is what has to be known of a service that was programmed once the
// configuration has it no more.
type past struct {
	drain time.Duration
	// owners are the addresses whose owner balances a mark.
	owners []netip.Addr
}

func (s Service) past() past {
	p := past{drain: s.Drain}
	if s.Mark != 0 {
		p.owners = s.Addrs
	}
	return p
}

func (p past) equal(o past) bool { return p.drain == o.drain && slices.Equal(p.owners, o.owners) }

// service returns what is left of the service of key k: nobody serves any more.
func (p past) service(k Key) Service {
	return Service{Addrs: p.owners, Mark: k.Mark, Protocol: k.Protocol, Drain: p.drain}
}

// removed returns the services that were programmed and are not configured any
// more, as far as this node still owns what they stand for: their connections
// come here and nowhere else. Where another node owns it they are that node's.
func (r record) removed(cfg Config, owned func(netip.Addr) bool) map[Key]Service {
	configured, gone := cfg.byKey(), map[Key]Service{}
	for k, p := range r.keys {
		if s := p.service(k); configured[k] == nil && s.owned(k, owned) {
			gone[k] = s
		}
	}
	return gone
}

// settled reports whether nothing is left to take back of what cfg has no more.
func (r record) settled(cfg Config) bool {
	return len(r.keys) == 0 && len(r.daemons) == 0 && r.timeouts == r.timeouts.under(cfg.Timeouts)
}

// planRemoved returns a service as it stands, for the servers that drain in it
// and nobody else; without any, ok is false.
func planRemoved(have *VirtualService, leaving map[ServerKey]time.Time) (v VirtualService, ok bool) {
	if have == nil {
		return v, false
	}
	v = *have
	v.Stats = Stats{}
	v.Destinations = have.draining(leaving)
	return v, len(v.Destinations) > 0
}

// draining returns those of the destinations that leave, as they are but for
// their weight. A nil service has none.
func (v *VirtualService) draining(leaving map[ServerKey]time.Time) (list []Destination) {
	if v == nil {
		return nil
	}
	for _, d := range v.Destinations {
		if _, leaves := leaving[ServerKey{v.Key, d.Addr}]; leaves {
			list = append(list, Destination{Addr: d.Addr, Forward: d.Forward, Encap: d.Encap, Upper: d.Upper, Lower: d.Lower})
		}
	}
	return list
}

// byKey returns the services by the keys that they stand for.
func (c Config) byKey() map[Key]*Service {
	m := make(map[Key]*Service, len(c.Services))
	for i := range c.Services {
		for _, k := range c.Services[i].Keys() {
			m[k] = &c.Services[i]
		}
	}
	return m
}

// byCompare returns the keys of m in order.
func byCompare[V any](m map[Key]V) []Key {
	return slices.SortedFunc(maps.Keys(m), Key.Compare)
}
