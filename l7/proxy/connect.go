package proxy

import (
	"bytes"
	"net/netip"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
)

// aim takes from x's request, whose head is given, what decides how pl carries
// it.
func (l *leash) aim(x *exchange, pl *backend.Pool, head []byte) {
	x.policy = pl.Policy()
	x.call.Idempotent = x.req.Method.Idempotent()
	x.call.Streams = !x.up.done
	x.call.Asks = x.up.done && x.spool == nil
	if x.policy.SendProxy != 0 {
		x.call.Between = l.between()
	}
	if name := x.policy.Sticky.Cookie; name != "" {
		x.call.Token = append(x.call.Token[:0], cookie(&x.req, head, name)...)
	}
	if x.policy.Balance.Strategy == backend.Hash {
		x.call.Key = backend.KeyHash(l.key(x, head))
	}
	if whole := x.policy.Timeouts.Whole; whole > 0 {
		l.limit = l.until(whole)
		x.call.Until = l.limit
	}
}

// key is what of a request decides under the strategy Hash.
func (l *leash) key(x *exchange, head []byte) []byte {
	var key []byte
	switch b := &x.policy.Balance; b.Key {
	case backend.URI:
		return append(append(append(key, x.host...), x.path...), x.req.Query.Of(head)...)
	case backend.Header:
		for i := range x.req.Fields {
			if f := &x.req.Fields[i]; bytes.EqualFold(f.Name.Of(head), []byte(b.Name)) {
				key = append(key, f.Value.Of(head)...)
			}
		}
	case backend.Cookie:
		key = cookie(&x.req, head, b.Name)
	}
	if len(key) == 0 {
		source := l.source(&x.req, head).As16()
		key = source[:]
	}
	return key
}

// source is the address of the client that asks, behind trusted proxies too.
func (c *client) source(r *http1.Request, head []byte) netip.Addr {
	if !c.trusted {
		return c.peer
	}
	return c.realClient(appendChain(nil, r, head))
}

// cookie returns the value of the first cookie of a name, nil where there is
// none (RFC 6265, section 4.2.1).
func cookie(r *http1.Request, head []byte, name string) []byte {
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Kind != http1.Other || !http1.Fold(f.Name.Of(head), "cookie") {
			continue
		}
		for rest := f.Value.Of(head); len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte(";"))
			if n, v, ok := bytes.Cut(bytes.TrimLeft(pair, " "), []byte("=")); ok && string(n) == name {
				return v
			}
		}
	}
	return nil
}

// connect returns a connection to an endpoint of pl for x. The pool bounds the
// waits for one.
func (l *leash) connect(x *exchange, pl *backend.Pool) (*backend.Conn, backend.Refusal) {
	l.deadline.move(l.limit, busy) // a cut is found later
	return pl.Connect(l.s.ctx, &x.call)
}

// missed is the verdict on an attempt for which there is no time.
func (l *leash) missed(b *backend.Conn) verdict {
	l.release(b, false)
	if l.deadline.cut() == cutTimeout {
		return late
	}
	return closes
}

// release gives a connection back to its endpoint's pool, or closes it.
func (l *leash) release(b *backend.Conn, fit bool) {
	// In this order: a cut that comes later finds no connection to interrupt,
	// one that came before is found here and takes the connection along.
	l.endpoint.Store(nil)
	b.Release(fit && l.deadline.cut() == 0)
}
