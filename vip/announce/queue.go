package announce

import (
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/neighbor"
)

// Group is a set of addresses that this node owns, and where it serves them.
type Group struct {
	Name      string // unique
	Interface string
	Addrs     []netip.Addr
	// Index and MAC are the interface's. Without a MAC, or while it is not Up,
	// there is nobody to tell.
	Index int
	MAC   neighbor.MAC
	Up    bool
	// Sure is asked before each announcement whether the addresses are still
	// ours: a process that stood still must not say what it planned before it
	// knows what happened meanwhile. Nil: always.
	Sure func() bool

	// These count the reasons to announce. A group that was not announced
	// before, or with other addresses, needs none.
	Acquired  uint64 // take-overs: at once
	Disputed  uint64 // adverts of routers that should have known better: as at a take-over, but at most once a second
	Moved     uint64 // the interface came up or speaks by another port: likewise
	Contested uint64 // another host claimed an address: one announcement, at most once a second
}

func (g Group) doubtful() bool { return g.Sure != nil && !g.Sure() }

func (g Group) usable() bool { return g.Up && g.Index != 0 && g.MAC != neighbor.MAC{} }

const (
	// backOff is how long a group waits whose frame was refused: the
	// device's queue is full, or the interface went down this very moment;
	// likewise one that is not Sure: by then it is, or it is set no more.
	backOff = 100 * time.Millisecond
	// spread parts the refreshes of several groups, and of several nodes.
	spread = Refresh / 10
)

// queue says which address to announce next. It is not for concurrent use.
type queue struct {
	jitter func(time.Duration) time.Duration // a random duration below its argument
	jobs   []*job
}

// job is a group with what is to be announced of it.
type job struct {
	Group
	schedule Schedule
	rounds   int       // announcements of each address still to make,
	at       int       // the present one from here on
	resume   time.Time // not before; after a fault
	fault    string    // of the latest attempt
}

// set replaces the groups.
func (q *queue) set(now time.Time, groups []Group) {
	old := q.jobs
	q.jobs = make([]*job, 0, len(groups))
	for _, g := range groups {
		i := slices.IndexFunc(old, func(j *job) bool { return j.Name == g.Name })
		if i < 0 {
			j := &job{Group: g}
			j.schedule.Start(now)
			q.jobs = append(q.jobs, j)
			continue
		}
		old[i].update(now, g)
		q.jobs = append(q.jobs, old[i])
	}
}

// update replaces the group and starts what the difference asks for.
func (j *job) update(now time.Time, g Group) {
	was := j.Group
	j.Group = g
	switch {
	case g.Acquired != was.Acquired, g.Interface != was.Interface, !slices.Equal(g.Addrs, was.Addrs):
		j.at, j.resume = 0, time.Time{}
		j.schedule.Start(now)
	case g.Index != was.Index, g.MAC != was.MAC, g.Up && !was.Up, g.Moved != was.Moved, g.Disputed != was.Disputed:
		j.schedule.Again(now)
	case g.Contested != was.Contested:
		j.schedule.Defend(now)
	}
}

// take returns the job whose address at is to be announced now, or nil. The
// one with the most rounds left goes first, so that each address of all
// groups is heard of once before any is heard of again.
func (q *queue) take(now time.Time) *job {
	var first *job
	for _, j := range q.jobs {
		if !j.usable() {
			continue // its time comes, but the schedule waits with it
		}
		j.rounds = max(j.rounds, j.schedule.Take(now, Refresh-spread/2+q.jitter(spread)))
		if j.rounds > 0 && !now.Before(j.resume) && j.doubtful() {
			j.resume = now.Add(backOff)
		}
		if j.rounds > 0 && !now.Before(j.resume) && (first == nil || j.rounds > first.rounds) {
			first = j
		}
	}
	return first
}

// next is when take has something, the zero time for never; now is passed to
// tell what could go at once.
func (q *queue) next(now time.Time) (t time.Time) {
	for _, j := range q.jobs {
		if !j.usable() {
			continue
		}
		at := j.schedule.Next()
		if j.rounds > 0 {
			at = now
			if j.resume.After(now) {
				at = j.resume
			}
		}
		if !at.IsZero() && (t.IsZero() || at.Before(t)) {
			t = at
		}
	}
	return t
}

// sent says that the address at was announced, or why not: then it is next again.
func (j *job) sent(now time.Time, err error) {
	if err != nil {
		j.fault, j.resume = err.Error(), now.Add(backOff)
		return
	}
	j.fault = ""
	if j.at++; j.at >= len(j.Addrs) {
		j.at = 0
		j.rounds--
	}
}
