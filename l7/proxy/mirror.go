package proxy

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
)

// copyTime is how long a copy may take as a whole: an answer that nobody waits
// for is not worth more, and what takes longer keeps others out.
const copyTime = 30 * time.Second

// copyAnswerMost is how much of a mirror's response is read to use its
// connection again; behind that it is cheaper to hang up.
const copyAnswerMost = 256 << 10

// A replica is the copy of a request that is in the making.
type replica struct {
	to         []recipient
	head, body []byte
	chunks     http1.ChunkReader
	most       int64 // of the body that anybody wants
	unfit      bool  // it was given up
}

// A recipient is who gets a replica.
type recipient struct {
	pool *backend.Pool
	most int64 // of the body, in bytes
}

// mirror copies x's request, which was composed, to those that its middlewares
// have named. Where the body is still to come, x.replica gathers what passes, and
// mirrored sends it.
func (l *leash) mirror(x *exchange) {
	if x.pass.chain == nil || len(x.pass.req.Copies) == 0 {
		return
	}
	r := &replica{}
	for _, c := range x.pass.req.Copies {
		pl := x.way.mirrors[c.To]
		switch {
		case !pl.BeginCopy():
		case x.upgrade || x.req.Length > c.Body || x.spool != nil:
			pl.EndCopy(backend.CopyUnfit)
		default:
			r.to, r.most = append(r.to, recipient{pl, c.Body}), max(r.most, c.Body)
		}
	}
	if len(r.to) == 0 {
		return
	}
	r.head = bytes.Clone(x.out)
	r.add(x.first, x.up.framing == http1.Chunked)
	if x.replica = r; x.up.done {
		l.mirrored(x)
	}
}

// add takes what of the body passes by, in the chunked coding or without. Once
// it is too long, the copy is given up.
func (r *replica) add(p []byte, coded bool) {
	if !r.gathers() {
		return
	}
	for len(p) > 0 && int64(len(r.body)) <= r.most {
		data, n := p, len(p)
		if coded {
			// What passes by is well-formed.
			if data, n, _ = r.chunks.Next(p); n == 0 {
				break
			}
		}
		r.body = append(r.body, data...)
		p = p[n:]
	}
	if int64(len(r.body)) > r.most {
		r.giveUp()
	}
}

// giveUp says that there will be no copy.
func (r *replica) giveUp() {
	r.unfit, r.body = true, nil
	for _, to := range r.to {
		to.pool.EndCopy(backend.CopyUnfit)
	}
}

// restart says that the body passes by from its begin.
func (r *replica) restart() {
	if r.gathers() {
		r.body, r.chunks = nil, http1.ChunkReader{}
	}
}

// gathers reports whether what passes by has to be seen.
func (r *replica) gathers() bool { return r != nil && !r.unfit }

// mirrored sends the copy of x's request, if there is one and it is whole. The
// request itself has ended, or its body is here.
func (l *leash) mirrored(x *exchange) {
	r := x.replica
	x.replica = nil
	switch {
	case !r.gathers():
	case !x.up.done:
		r.giveUp()
	default:
		for _, to := range r.to {
			if int64(len(r.body)) > to.most {
				to.pool.EndCopy(backend.CopyUnfit)
			} else {
				l.s.copy(*l.client, r, to.pool)
			}
		}
	}
}

// copy sends r, a copy of c's request, to pl in a goroutine of its own.
func (s *server) copy(c client, r *replica, pl *backend.Pool) {
	c.stats = &s.p.copied
	w := &lane{front: &nobody{left: copyAnswerMost}}
	w.leash.client, w.side = &c, w
	started := s.copies.start(&w.leash, func() {
		w.run(func(w *lane, x *exchange) { w.replicate(x, r, pl) })
		if w.begun.Load() {
			pl.EndCopy(backend.CopyAnswered)
		} else {
			pl.EndCopy(backend.CopyFailed)
		}
	})
	if !started {
		pl.EndCopy(backend.CopyFailed)
	}
}

// copies are the copies that are under way: beside the works of a server, since
// no drain waits for a mirror.
type copies struct {
	mu    sync.Mutex
	works map[*leash]struct{}
	over  bool // none is begun any more
	group sync.WaitGroup
}

// start runs do, which w holds to its time. It reports false in the end.
func (c *copies) start(w *leash, do func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	if c.works == nil {
		c.works = make(map[*leash]struct{})
	}
	c.works[w] = struct{}{}
	c.group.Go(func() {
		do()
		c.mu.Lock()
		delete(c.works, w)
		c.mu.Unlock()
	})
	return true
}

func (c *copies) each(do func(*leash)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.works {
		do(w)
	}
}

// end cuts all of them.
func (c *copies) end() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.each((*leash).kill)
	c.group.Wait()
}

// replicate sends r to pl and throws the response away.
func (l *lane) replicate(x *exchange, r *replica, pl *backend.Pool) {
	if r.compose(x) != nil {
		return
	}
	l.aim(x, pl, x.head)
	x.call.Once, x.call.Asks = true, false // there is one attempt
	most := l.until(copyTime)
	if l.limit == 0 || l.limit > most {
		l.limit, x.call.Until = most, most
	}
	x.pack()
	if b, refusal := l.connect(x, pl); refusal == 0 {
		l.attempt(x, pl, b)
	}
}

// compose makes r the request of x. It has the fields that the endpoint got but
// for those that tell how the body comes: it is here.
func (r *replica) compose(x *exchange) error {
	if err := x.req.Parse(r.head, unlimited(r.head)); err != nil {
		return err
	}
	x.out = append(x.out[:0], r.head[:x.req.FieldsStart]...)
	for i := range x.req.Fields {
		if f := &x.req.Fields[i]; f.Kind != http1.TransferEncoding && f.Kind != http1.Expect {
			x.out = append(x.out, r.head[f.Name.Start:f.End]...)
		}
	}
	if x.req.Framing == http1.Chunked {
		x.out = strconv.AppendInt(append(x.out, "Content-Length: "...), int64(len(r.body)), 10)
		x.out = append(x.out, '\r', '\n')
	}
	x.out = append(x.out, '\r', '\n')
	x.head = append(x.head[:0], x.out...)
	x.host = append(x.host[:0], x.req.Host.Of(r.head)...)
	x.path = append(x.path[:0], x.req.Path.Of(r.head)...)
	x.first, x.up, x.upgrade, x.altSvc = r.body, body{done: true}, false, ""
	return x.req.Parse(x.head, unlimited(x.head))
}

// unlimited are limits that a head keeps which was composed here: it may be
// longer than what came.
func unlimited(head []byte) http1.Limits {
	return http1.Limits{Head: len(head), Line: len(head), Fields: len(head)}
}

// nobody is the front of a copy, whose response nobody wants.
type nobody struct{ left int }

var _ front = (*nobody)(nil)

func (n *nobody) protocol() string                       { return "" }
func (n *nobody) notify(*leash)                          {}
func (n *nobody) head(dst []byte) ([]byte, error)        { return dst, nil }
func (n *nobody) read([]byte) (int, error)               { return 0, errEnded }
func (n *nobody) trailers() []field                      { return nil }
func (n *nobody) stopReading()                           {}
func (n *nobody) resumeReading()                         {}
func (n *nobody) interim(int, []field) error             { return nil }
func (n *nobody) respond(int, []field, bool, bool) error { return nil }
func (n *nobody) finish([]byte, []field) error           { return nil }
func (n *nobody) flush() error                           { return nil }
func (n *nobody) abort()                                 {}

func (n *nobody) write(p []byte) error {
	if n.left -= len(p); n.left < 0 {
		return errEnded
	}
	return nil
}
