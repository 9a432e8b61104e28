package proxy

import (
	"bytes"
	"regexp"
	"sync/atomic"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/route"
)

// A fork sends some of a route's requests to other backends.
type fork struct {
	branches []branch
	// turn counts the requests that are shared out. It goes on when tables
	// change, so that small shares get their requests.
	turn *atomic.Uint64
}

// A branch is a route.Choice that is ready to be made.
type branch struct {
	route.Choice
	pool    *backend.Pool  // nil for Never
	pattern *regexp.Regexp // nil without one
}

// newFork makes choices ready. old is what they were before, nil for nothing.
func newFork(choices []route.Choice, old *fork, pool func(route.Backend) *backend.Pool) *fork {
	f := &fork{turn: new(atomic.Uint64)}
	if old != nil {
		f.turn = old.turn
	}
	for _, c := range choices {
		b := branch{Choice: c}
		if !c.Never {
			b.pool = pool(c.Backend)
		}
		if c.Pattern != "" {
			re, err := regexp.Compile(`^(?:` + c.Pattern + `)$`)
			if err != nil {
				continue // it matches nothing; whoever wrote it was told
			}
			b.pattern = re
		}
		f.branches = append(f.branches, b)
	}
	return f
}

// choose returns the pool that x's request, whose head is given, goes to. Those
// whom a cookie binds to an endpoint stay there. A share whose backend has no
// endpoint is taken by one that has some.
func (w *way) choose(x *exchange, head []byte) *backend.Pool {
	if w.fork == nil || w.route.Backend == (route.Backend{}) { // which answers 503, whatever else there is
		return w.pool
	}
	if pl := w.bound(x, head); pl != nil {
		return pl
	}
	var share, point float64
	for i := range w.fork.branches {
		b := &w.fork.branches[i]
		if b.Header != "" || b.Cookie != "" {
			switch {
			case !b.takes(&x.req, head):
			case b.Never:
				return w.pool
			default:
				return b.pool
			}
			continue
		}
		if share == 0 {
			point = spread(w.fork.turn.Add(1))
		}
		if share += b.Share; point < share {
			return w.lively(b.pool)
		}
	}
	return w.lively(w.pool)
}

// bound returns the pool in which the request's sticky cookie names an
// endpoint, nil without one.
func (w *way) bound(x *exchange, head []byte) *backend.Pool {
	holds := func(pl *backend.Pool) bool {
		name := pl.Policy().Sticky.Cookie
		return name != "" && pl.Holds(cookie(&x.req, head, name))
	}
	for i := range w.fork.branches {
		if pl := w.fork.branches[i].pool; pl != nil && holds(pl) {
			return pl
		}
	}
	if holds(w.pool) {
		return w.pool
	}
	return nil
}

// lively returns pl, or one beside it that has endpoints where pl has none.
func (w *way) lively(pl *backend.Pool) *backend.Pool {
	if !pl.Empty() {
		return pl
	}
	if !w.pool.Empty() {
		return w.pool
	}
	for i := range w.fork.branches {
		if b := &w.fork.branches[i]; b.Share > 0 && !b.pool.Empty() {
			return b.pool
		}
	}
	return pl
}

// takes reports whether a request has what b asks for.
func (b *branch) takes(r *http1.Request, head []byte) bool {
	if b.Cookie != "" {
		if v := cookie(r, head, b.Cookie); v != nil && b.fits(v) {
			return true
		}
	}
	if b.Header == "" {
		return false
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if bytes.EqualFold(f.Name.Of(head), []byte(b.Header)) && b.fits(f.Value.Of(head)) {
			return true
		}
	}
	return false
}

func (b *branch) fits(value []byte) bool {
	return b.Value != "" && string(value) == b.Value || b.pattern != nil && b.pattern.Match(value)
}

// spread returns a number from 0 to 1 for a turn. The multiples of the golden
// ratio fill the range evenly, so that shares hold over few requests as over
// many.
func spread(turn uint64) float64 {
	const golden = 0x9e3779b97f4a7c15
	return float64(turn*golden>>11) / (1 << 53)
}
