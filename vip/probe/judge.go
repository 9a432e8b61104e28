package probe

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/neighbor"
)

// Group is a set of virtual addresses on an interface.
type Group struct {
	Interface string
	Addrs     []netip.Addr
	Owned     bool // this node announces them
	// Index and MAC are the interface's. Without a MAC, or while it is not Up,
	// there is nobody to ask.
	Index int
	MAC   neighbor.MAC
	Up    bool
	// Source is an IPv6 address of the interface to ask from. Without one
	// IPv6 addresses are not asked for, only listened for.
	Source netip.Addr
}

// Duplicate is a host that claims a virtual address of another.
type Duplicate struct {
	Address netip.Addr   `json:"address"`
	MAC     neighbor.MAC `json:"mac"`
	Since   time.Time    `json:"since"` // when it was first heard
	Last    time.Time    `json:"last"`  // and last
}

const (
	// settle is how long after a take-over claims of others are no duplicates:
	// the previous owner holds the addresses until it has heard of its successor.
	settle = time.Second
	// ownerAsks, backupAsks and doubtAsks part two questions for an address:
	// for its owner and while duplicates are known; for others; and for others
	// when several hosts have answered, to tell a duplicate from a change of owner.
	ownerAsks  = 10 * time.Second
	backupAsks = time.Minute
	doubtAsks  = 3 * time.Second
	// answerTime is how long after a question a claim counts as its answer.
	answerTime = time.Second
	// gone is how long a duplicate has to be silent, two questions long, to be
	// taken for gone.
	gone = 25 * time.Second
	// thin is the least time between two claims of a host that count.
	thin = 100 * time.Millisecond
	// crowd bounds the claimants of an address: anybody on the link may
	// invent them.
	crowd = 8
)

// judge knows who claims which address. It is not for concurrent use.
type judge struct {
	own      map[neighbor.MAC]bool // hardware addresses of this host
	subjects map[netip.Addr]*subject
}

// subject is a virtual address under observation.
type subject struct {
	Group
	ip        netip.Addr
	from      time.Time // when its present ownership began
	ask       time.Time // when to ask next
	closes    time.Time // when the answers to the latest question are in; zero: they are
	claimants []*claimant
	contested uint64 // claims of others while owned
}

type claimant struct {
	Duplicate
	answered bool // the question that is open
	company  int  // questions in a row that it answered and another host too
	reported bool
}

// news is a duplicate that was found, or is gone.
type news struct {
	Duplicate
	Interface string
	Owned     bool
	Gone      bool
}

// set replaces the groups and this host's hardware addresses.
func (j *judge) set(now time.Time, groups []Group, own map[neighbor.MAC]bool) {
	old := j.subjects
	j.own, j.subjects = own, map[netip.Addr]*subject{}
	for _, g := range groups {
		for _, ip := range g.Addrs {
			s := old[ip]
			if s == nil || s.Owned != g.Owned || s.Interface != g.Interface {
				was := s
				// A millisecond apart, lest many addresses ask at once.
				s = &subject{ip: ip, from: now, ask: now.Add(settle + time.Duration(len(j.subjects))*time.Millisecond)}
				if was != nil {
					s.contested = was.contested // it only grows
				}
			}
			s.Group = g
			j.subjects[ip] = s
		}
	}
}

// hear takes a claim, and reports whether it contests an address that this
// node owns.
func (j *judge) hear(now time.Time, c neighbor.Claim) (contested bool, found []news) {
	s := j.subjects[c.IP]
	if s == nil || j.own[c.MAC] {
		return false, nil
	}
	i := slices.IndexFunc(s.claimants, func(x *claimant) bool { return x.MAC == c.MAC })
	fresh := i < 0
	if fresh {
		if len(s.claimants) >= crowd {
			return false, nil
		}
		i = len(s.claimants)
		s.claimants = append(s.claimants, &claimant{Duplicate: Duplicate{Address: c.IP, MAC: c.MAC, Since: now}})
	}
	x := s.claimants[i]
	if !s.closes.IsZero() && now.Before(s.closes) {
		x.answered = true
	}
	if !fresh && now.Sub(x.Last) < thin {
		return false, nil
	}
	x.Last = now
	if !s.Owned {
		return false, nil
	}
	s.contested++
	if now.Sub(s.from) >= settle {
		found = s.report(x)
	}
	return true, found
}

func (s *subject) report(x *claimant) []news {
	if x.reported {
		return nil
	}
	x.reported = true
	return []news{{Duplicate: x.Duplicate, Interface: s.Interface, Owned: s.Owned}}
}

// step advances to now: it says which addresses to ask for, at most so many,
// and what has been found out.
func (j *judge) step(now time.Time, most int) (ask []*subject, found []news) {
	for _, s := range j.subjects {
		if !s.closes.IsZero() && !now.Before(s.closes) {
			found = append(found, s.close(now)...)
		}
		found = append(found, s.forget(now)...)
		if len(ask) < most && !now.Before(s.ask) {
			s.question(now)
			ask = append(ask, s)
		}
	}
	return ask, found
}

// close weighs the answers to a question.
func (s *subject) close(now time.Time) (found []news) {
	s.closes = time.Time{}
	answers := 0
	for _, x := range s.claimants {
		if x.answered {
			answers++
		}
	}
	several := !s.Owned && answers > 1
	for _, x := range s.claimants {
		if x.company++; !several || !x.answered {
			x.company = 0
		}
		x.answered = false
		if x.company > 1 {
			found = append(found, s.report(x)...)
		}
	}
	switch {
	case found != nil:
		s.ask = now.Add(ownerAsks)
	case several && !s.known():
		s.ask = now.Add(doubtAsks)
	}
	return found
}

// known reports whether there are duplicates.
func (s *subject) known() bool {
	return slices.ContainsFunc(s.claimants, func(x *claimant) bool { return x.reported })
}

// forget drops who has been silent.
func (s *subject) forget(now time.Time) (found []news) {
	s.claimants = slices.DeleteFunc(s.claimants, func(x *claimant) bool {
		silent := now.Sub(x.Last) >= gone
		if silent && x.reported {
			found = append(found, news{Duplicate: x.Duplicate, Interface: s.Interface, Owned: s.Owned, Gone: true})
		}
		return silent
	})
	if !s.Owned && len(s.claimants) == 1 { // the owner, then
		s.claimants[0].reported = false
	}
	return found
}

func (s *subject) question(now time.Time) {
	s.closes = now.Add(answerTime)
	s.ask = now.Add(backupAsks)
	if s.Owned || s.known() {
		s.ask = now.Add(ownerAsks)
	}
}

// next is when step must run again; the zero time means never.
func (j *judge) next() (t time.Time) {
	for _, s := range j.subjects {
		times := []time.Time{s.ask, s.closes}
		for _, x := range s.claimants {
			times = append(times, x.Last.Add(gone))
		}
		for _, at := range times {
			if !at.IsZero() && (t.IsZero() || at.Before(t)) {
				t = at
			}
		}
	}
	return t
}

// duplicates returns those known for the addresses.
func (j *judge) duplicates(addrs []netip.Addr) (ds []Duplicate) {
	for _, ip := range addrs {
		if s := j.subjects[ip]; s != nil {
			for _, x := range s.claimants {
				if x.reported {
					ds = append(ds, x.Duplicate)
				}
			}
		}
	}
	slices.SortFunc(ds, func(a, b Duplicate) int {
		return cmp.Or(a.Address.Compare(b.Address), slices.Compare(a.MAC[:], b.MAC[:]))
	})
	return ds
}

// contested counts the claims of others for the addresses while they were owned.
func (j *judge) contested(addrs []netip.Addr) (n uint64) {
	for _, ip := range addrs {
		if s := j.subjects[ip]; s != nil {
			n += s.contested
		}
	}
	return n
}
