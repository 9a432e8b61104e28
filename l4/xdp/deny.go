package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

// Deny replaces the networks whose packets to a service are dropped, each until
// a time; the zero time is for ever. It may be called before and during Run,
// and the map is not to be changed thereafter.
func (p *Plane) Deny(list map[netip.Prefix]time.Time) {
	p.mu.Lock()
	p.denials = list
	p.edition++
	p.mu.Unlock()
	p.ring()
}

// Denied returns how many packets of each denied network were dropped since
// the program knows of it.
func (p *Plane) Denied() map[netip.Prefix]uint64 {
	p.work.Lock()
	defer p.work.Unlock()
	k := p.life.open
	if k == nil {
		return nil
	}
	have, err := k.denied()
	if err != nil {
		return nil // what is not counted now is counted the next time
	}
	packets := map[netip.Prefix]uint64{}
	for n, d := range have {
		packets[n] = d.Packets
	}
	return packets
}

// Drops returns why the program drops nothing on this node, nil where it does
// or nobody knows yet.
func (p *Plane) Drops() error {
	const manual = `; "An attack" in /usr/share/doc/portico/operations.md says how nftables drops it meanwhile`
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.cfg.Choice == l4.ByIPVS:
		return errors.New(`it is XDP that drops packets, and dataplane = "ipvs" is without: write "auto" or "xdp" and reload` + manual)
	case !p.cfg.Services:
		return errors.New("it has no [[l4.service]], whose packets could be dropped")
	}
	var errs []error
	for _, i := range p.status.Interfaces {
		if i.Mode != "" || i.Reason == errLoading.Error() {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %s", i.Name, i.Reason))
	}
	if why := errors.Join(errs...); why != nil {
		return fmt.Errorf("XDP, which drops packets, does not run (%w): mend that and reload"+manual, why)
	}
	return nil
}

// deny brings the program's list to what is wanted. It is read once by each
// program, and written by this process alone from then on: reading takes long
// where it is long.
func (p *Plane) deny(limit time.Duration) error {
	p.mu.Lock()
	list, edition := p.denials, p.edition
	p.mu.Unlock()
	k := p.life.open
	if k.edition == edition {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	have, err := k.denied()
	if err != nil {
		return err
	}
	want := untils(list, time.Now(), now)
	put, del := diffDenied(have, want)
	for _, n := range del {
		if err := gone(k.L4Maps.Denied.Delete(toNetwork(n))); err != nil {
			return fmt.Errorf("allow %s: %w", n, err)
		}
	}
	for _, n := range put {
		d := bpf.L4Denied{UntilNs: want[n], Packets: have[n].Packets}
		if err := k.L4Maps.Denied.Put(toNetwork(n), d); err != nil {
			return fmt.Errorf("deny %s: %w", n, err)
		}
	}
	k.edition = edition
	return p.life.denying(len(want) > 0, limit)
}

// untils returns until when each network is denied by the program's clock, 0
// for ever, at a time that both clocks tell. The program asks the longest
// network that holds a source and no other, so one that ends while a larger
// goes on takes over its end.
func untils(list map[netip.Prefix]time.Time, now time.Time, clock uint64) map[netip.Prefix]uint64 {
	out := map[netip.Prefix]uint64{}
	for n, until := range list {
		for bits := n.Bits() - 1; bits >= 0 && !until.IsZero(); bits-- {
			wider, _ := n.Addr().Prefix(bits) // of a length that it has
			if other, ok := list[wider]; ok && (other.IsZero() || other.After(until)) {
				until = other
			}
		}
		switch left := until.Sub(now); {
		case until.IsZero():
			out[n] = 0
		case left > 0:
			out[n] = clock + uint64(left)
		}
	}
	return out
}

// diffDenied returns what has to be written and what has to go, in order. The
// clock on the wall is not as steady as the program's: an end that differs by
// less than a second is the same.
func diffDenied(have map[netip.Prefix]bpf.L4Denied, want map[netip.Prefix]uint64) (put, del []netip.Prefix) {
	for n, until := range want {
		h, stands := have[n]
		early, late := min(h.UntilNs, until), max(h.UntilNs, until)
		if !stands || (early == 0) != (late == 0) || late-early >= uint64(time.Second) {
			put = append(put, n)
		}
	}
	for n := range have {
		if _, wanted := want[n]; !wanted {
			del = append(del, n)
		}
	}
	slices.SortFunc(put, netip.Prefix.Compare)
	slices.SortFunc(del, netip.Prefix.Compare)
	return put, del
}

// denied reads the program's list.
func (k *kernel) denied() (map[netip.Prefix]bpf.L4Denied, error) {
	found := map[netip.Prefix]bpf.L4Denied{}
	var key bpf.L4DeniedKey
	var value bpf.L4Denied
	return found, each(k.L4Maps.Denied, &key, &value, func() { found[fromNetwork(key)] = value })
}

// A key counts 96 bits more where it is IPv4 (bpf/maps.h).
const mappedBits = 96

func toNetwork(n netip.Prefix) bpf.L4DeniedKey {
	key := bpf.L4DeniedKey{Prefix: uint32(n.Bits()), Addr: address(n.Addr())}
	if n.Addr().Is4() {
		key.Prefix += mappedBits
	}
	return key
}

func fromNetwork(key bpf.L4DeniedKey) netip.Prefix {
	a := fromAddress(key.Addr)
	if a.Is4() && key.Prefix >= mappedBits {
		return netip.PrefixFrom(a, int(key.Prefix)-mappedBits)
	}
	return netip.PrefixFrom(netip.AddrFrom16(a.As16()), int(key.Prefix))
}
