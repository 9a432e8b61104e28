package soak

import (
	"sync"
	"time"

	"github.com/portico-lb/portico/test/edge"
)

// owners watches who has the virtual address.
type owners struct {
	soak *soak
	wg   sync.WaitGroup
	end  chan struct{}

	two, none time.Duration // the longest so far; to be read after stop

	mu   sync.Mutex
	node *edge.Node // may have it beside another one
}

func (s *soak) watchOwners() *owners {
	o := &owners{soak: s, end: make(chan struct{})}
	o.wg.Go(o.run)
	return o
}

func (o *owners) stop() {
	close(o.end)
	o.wg.Wait()
}

// excuse tells that a node may have the address beside another one.
func (o *owners) excuse(n *edge.Node) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.node = n
}

// run compares with what may be: two nodes have it until the lesser has heard
// the other after a link came back, and nobody until the others have missed
// enough advertisements.
func (o *owners) run() {
	tick := time.NewTicker(o.soak.scale.look)
	defer tick.Stop()
	var two, none stretch
	for {
		select {
		case <-o.end:
			return
		case <-tick.C:
		}
		o.mu.Lock()
		excused := o.node
		o.mu.Unlock()
		holders := o.soak.edge.Holders()
		now, judged := time.Now(), without(holders, excused)
		o.two = max(o.two, two.lasts(now, len(judged) > 1))
		o.none = max(o.none, none.lasts(now, len(holders) == 0))
		if two.exceeds(o.soak.scale.pair) {
			o.soak.breach("%v have the address for %v", judged, o.two)
		}
		if none.exceeds(o.soak.scale.gap) {
			o.soak.breach("nobody has the address for %v", o.none)
		}
	}
}

// A stretch is a time in which something is so.
type stretch struct {
	since time.Time // zero: it is not so
	last  time.Duration
	told  bool
}

// lasts is how long it has been so.
func (s *stretch) lasts(now time.Time, so bool) time.Duration {
	switch {
	case !so:
		*s = stretch{}
	case s.since.IsZero():
		s.since = now
	default:
		s.last = now.Sub(s.since)
	}
	return s.last
}

// exceeds is true once in a stretch that is too long.
func (s *stretch) exceeds(limit time.Duration) bool {
	if s.told || s.last <= limit {
		return false
	}
	s.told = true
	return true
}

// without are the nodes but one.
func without(nodes []*edge.Node, not *edge.Node) (rest []*edge.Node) {
	for _, n := range nodes {
		if n != not {
			rest = append(rest, n)
		}
	}
	return rest
}
