package proxy

import "github.com/portico-lb/portico/l7/backend"

// connect returns a connection to an endpoint of pl for x.
func (c *conn) connect(x *exchange, pl *backend.Pool) (*backend.Conn, backend.Refusal) {
	x.call.Idempotent = x.req.Method.Idempotent()
	return pl.Connect(c.s.ctx, &x.call)
}

// release gives a connection back to its endpoint's pool, or closes it.
func (c *conn) release(b *backend.Conn, fit bool) {
	// In this order: a cut that comes later finds no connection to interrupt,
	// one that came before is found here and takes the connection along.
	c.backend.Store(nil)
	b.Release(fit && c.deadline.cut() == 0)
}
