package proxy

import "github.com/portico-lb/portico/l7/backend"

// connect returns a connection to an endpoint of pl for x.
func (l *leash) connect(x *exchange, pl *backend.Pool) (*backend.Conn, backend.Refusal) {
	x.call.Idempotent = x.req.Method.Idempotent()
	return pl.Connect(l.s.ctx, &x.call)
}

// release gives a connection back to its endpoint's pool, or closes it.
func (l *leash) release(b *backend.Conn, fit bool) {
	// In this order: a cut that comes later finds no connection to interrupt,
	// one that came before is found here and takes the connection along.
	l.endpoint.Store(nil)
	b.Release(fit && l.deadline.cut() == 0)
}
