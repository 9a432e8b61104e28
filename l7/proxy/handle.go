package proxy

import (
	"bytes"
	"strconv"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// handle carries the request whose head is given, which lies at the start of
// the input, and reports whether the connection may go on.
func (c *conn) handle(head []byte) bool {
	c.in.r += len(head) // the bytes stay until the next fill
	x := getExchange()
	defer putExchange(x)
	head = c.observe(x, head)
	if err := x.req.Parse(head, c.bounds.Head); err != nil {
		c.refuse(x, err)
		return false
	}
	c.enter(x, head, protocols[x.req.Minor])
	c.stats.requests.Add(1)
	status, reason := c.understand(x, head)
	if status == 0 {
		status, reason = c.begin(x)
	}
	switch {
	case status == 400 || status == 413 || status == 501:
		// Its body has not been read.
		if c.answer(x, &middleware.Answer{Status: status, Reason: reason}, false) {
			c.linger()
		}
		return false
	case status != 0:
		return c.reject(x, &middleware.Answer{Status: status, Reason: reason})
	}
	if a := c.resolve(x, head); a != nil {
		return c.reject(x, a)
	}
	x.upgrade = upgrades(&x.req, head)
	c.compose(x, head)
	if x.way.chain != nil {
		if x.told == nil {
			x.head = append(x.head[:0], head...) // the input may be needed for more
			head = x.head
		}
		if a := c.pass(x, head); a != nil {
			// The connection can go on behind a body that is here.
			if x.gathers() && !c.gather(x) && !c.revive(c.bounds.Timeouts.Stall) {
				return false
			}
			return c.reject(x, a)
		}
	}
	if v := c.collect(x); v != served {
		return c.apologise(c, x, v)
	}
	if x.pass.chain != nil {
		if a := x.recompose(); a != nil {
			return c.reject(x, a)
		}
	}
	pl := x.way.choose(x, head)
	c.aim(x, pl, head)
	goesOn := c.forward(c, x, pl)
	c.limit = 0
	return goesOn
}

// collect reads x's body where it is to be whole before it is sent.
func (c *conn) collect(x *exchange) verdict {
	switch {
	case x.gathers():
		if !c.gather(x) {
			return slow
		}
	case x.holds():
		f := newConnFront(c, x)
		v := c.hold(x, f)
		f.giveBack()
		return v
	}
	return served
}

// holds reports whether a middleware wants the whole body first.
func (x *exchange) holds() bool {
	return x.pass.chain != nil && x.pass.req.Body.Whole && !x.up.done && !x.upgrade
}

// protocols are those of conns, by the version's last digit.
var protocols = [...]string{"HTTP/1.0", "HTTP/1.1"}

// gatherMost is the longest body that is read whole before it is sent. It can
// be sent again, no endpoint waits for a slow client, and for most of them it
// is here already.
const gatherMost = 32 << 10

func (x *exchange) gathers() bool {
	return !x.up.done && x.up.framing == http1.Length && x.req.Length <= gatherMost && !x.req.Expect
}

// makeWhole makes room for the whole body.
func (x *exchange) makeWhole() {
	if cap(x.whole) < int(x.req.Length) {
		x.whole = make([]byte, gatherMost)
	}
	x.whole = x.whole[:x.req.Length]
}

// gather reads the rest of x's body.
func (c *conn) gather(x *exchange) bool {
	have := len(x.first)
	x.makeWhole()
	copy(x.whole, x.first)
	for have < len(x.whole) {
		if !c.await(x, false) {
			return false
		}
		n, err := c.rw.Read(x.whole[have:])
		x.pace.end(c.p.clock.now(), n)
		if have += n; n == 0 && err != nil {
			return false
		}
		x.up.advance(int64(n))
	}
	x.first = x.whole
	return true
}

// understand makes host and path canonical; a status answers what no request
// of ours can be.
func (c *client) understand(x *exchange, head []byte) (status int, reason string) {
	r := &x.req
	if r.Method == http1.CONNECT || r.Method == http1.TRACE {
		// Tunnels to anywhere are not what an edge is for; TRACE shows the
		// fields that were added behind the client's back.
		return 501, "this method is not forwarded"
	}
	var err error
	if x.host, err = route.CanonicalHost(x.host[:0], r.Host.Of(head)); err != nil {
		return 400, err.Error()
	}
	if r.Form == http1.Asterisk {
		x.path = append(x.path[:0], '*')
	} else if x.path, err = route.CanonicalPath(x.path[:0], r.Path.Of(head)); err != nil {
		return 400, err.Error()
	}
	x.up, x.pace = newBody(&r.Head), pace{}
	if x.up.most = c.bounds.Caps.Body; x.up.most > 0 && r.Length > x.up.most {
		return refusal(http1.ErrBodyLarge)
	}
	if x.hops = 0; r.Method == http1.OPTIONS {
		return x.countHops(head)
	}
	return 0, ""
}

// countHops reads Max-Forwards, which is for OPTIONS and TRACE alone (RFC 9110,
// section 7.6.2). One that is no number is nobody's concern.
func (x *exchange) countHops(head []byte) (status int, reason string) {
	for i := range x.req.Fields {
		f := &x.req.Fields[i]
		if !bytes.EqualFold(f.Name.Of(head), []byte("max-forwards")) {
			continue
		}
		n, err := strconv.ParseUint(string(f.Value.Of(head)), 10, 32)
		switch {
		case err != nil:
		case n == 0:
			return 200, "no further, as Max-Forwards says"
		default:
			x.hops = n
			x.req.Discard(f)
		}
	}
	return 0, ""
}

// begin takes what of the request's body came with its head.
func (c *conn) begin(x *exchange) (status int, reason string) {
	have := c.in.bytes()
	size, n, err := x.up.take(have)
	if err != nil {
		return refusal(err)
	}
	x.first = have[:size]
	x.pace.got = int64(n)
	c.in.r += n
	return 0, ""
}

// upgrades reports whether the client's wish for another protocol is passed
// on. h2c is not: behind an upgrade to it requests would pass that nobody has
// matched against the routes. A body would have to be read in the old protocol
// first (RFC 9110, section 7.8), and no client in use sends one.
func upgrades(r *http1.Request, head []byte) bool {
	f := r.Field(http1.Upgrade)
	return r.UpgradeOption && f != nil && (r.Framing == http1.None || r.Framing == http1.Length && r.Length == 0) &&
		!http1.HasElement(f.Value.Of(head), "h2c") && !bytes.ContainsRune(f.Value.Of(head), ',')
}
