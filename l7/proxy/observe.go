package proxy

import "github.com/portico-lb/portico/l7/accesslog"

// Observe has o told of the requests that begin from now on; nil is nobody, and
// costs nothing.
func (p *Proxy) Observe(o *accesslog.Observer) { p.observer.Store(o) }
