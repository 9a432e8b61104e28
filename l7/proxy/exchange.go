package proxy

import (
	"sync"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
)

// An exchange is what a connection needs while it carries one request, reused
// by the next request of any connection.
type exchange struct {
	req  http1.Request
	resp http1.Response

	head       []byte // of a request that did not come as HTTP/1.1, written as if
	host, path []byte // canonical
	out        []byte // the request head as sent, with a small body behind it
	first      []byte // what of the body came with the head and is not in out
	whole      []byte // a small body that was gathered
	up, down   body
	pace       pace // of up
	upgrade    bool // the client asks for another protocol
	way        way  // where it goes; it has no route where none was found
	pass       passage
	spool      *spool // what of the body was read and is too much for memory
	hops       uint64 // how many more may forward the request; 0: as many as will
	altSvc     string // a line of the response that tells of HTTP/3

	in     buffer  // from the endpoint
	fields []field // of the response, for clients that get fields
	text   []byte  // of those that did not come from an endpoint so
	call   backend.Call
	// replica is the copy for mirrors where the body is still to come.
	replica *replica
	policy  *backend.Policy
	account
	reading
}

// headroom is what may be put before a response head in place: "Connection:
// keep-alive", a cookie, where HTTP/3 is, and the date.
const headroom = 64 + len("Set-Cookie: \r\n") + backend.SetCookieMost + altSvcMost + dateMost

var exchanges = sync.Pool{New: func() any {
	return &exchange{in: buffer{b: make([]byte, largeSize), base: headroom}}
}}

func getExchange() *exchange {
	x := exchanges.Get().(*exchange)
	x.in.clear()
	return x
}

func putExchange(x *exchange) {
	x.settle()
	x.spool.close()
	x.spool = nil
	if len(x.in.b) > largeSize || cap(x.out) > largeSize {
		return // a rare giant is not kept
	}
	x.call.Reset()
	x.replica = nil
	x.first, x.policy, x.way = nil, nil, way{}
	if cap(x.whole) > gatherMost {
		x.whole = nil
	}
	exchanges.Put(x)
}

// A body knows how much of it is still to come.
type body struct {
	framing http1.Framing
	left    int64
	chunks  http1.ChunkReader
	// data is what count has counted, most how much may come without a length
	// that was announced; 0 is no bound.
	data, most int64
	done       bool
	// trailers is the trailer section that unchunk took out, whose lines are
	// well-formed and harmless.
	trailers []byte
}

func newBody(h *http1.Head) body {
	return body{
		framing: h.Framing,
		left:    h.Length,
		done:    h.Framing == http1.None || h.Framing == http1.Length && h.Length == 0,
	}
}

// take returns how much of b, which comes next, belongs to the body. What is to
// be passed on of it moves to the front of b, size bytes.
func (d *body) take(b []byte) (size, n int, err error) {
	switch {
	case d.done:
	case d.framing == http1.Length:
		n = int(min(d.left, int64(len(b))))
		d.advance(int64(n))
		size = n
	case d.framing == http1.Chunked:
		size, n, err = d.chunks.Strip(b)
		d.done = d.chunks.Done()
		if err == nil {
			err = d.bound(d.chunks.Data())
		}
	default:
		size, n = len(b), len(b)
	}
	return size, n, err
}

// bound refuses a body of a length that is not announced once it is too long.
func (d *body) bound(data int64) error {
	if d.most > 0 && data > d.most {
		return http1.ErrBodyLarge
	}
	return nil
}

// count counts n bytes of data that came without the chunked coding.
func (d *body) count(n int) error {
	d.data += int64(n)
	return d.bound(d.data)
}

// advance steps over n bytes of a body with a length.
func (d *body) advance(n int64) {
	d.left -= n
	d.done = d.left == 0
}

// unchunk is take for a recipient that does not know the chunked coding: the
// data moves to the front of b. It returns how much data that is and how much
// of b was read.
func (d *body) unchunk(b []byte) (size, n int, err error) {
	for n < len(b) && !d.chunks.Done() {
		trailing := d.chunks.InTrailers()
		data, m, err := d.chunks.Next(b[n:])
		if err != nil {
			return size, n, err
		}
		if trailing {
			d.trailers = append(d.trailers, b[n:n+m]...)
		}
		size += copy(b[size:], data)
		n += m
	}
	d.done = d.chunks.Done()
	return size, n, nil
}
