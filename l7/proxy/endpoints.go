package proxy

import "github.com/portico-lb/portico/l7/route"

// UpdateEndpoints makes the endpoints of the backends that m names those of m,
// as SetEndpoints does, and leaves all other backends alone: one Pod that leaves
// among thousands of backends is out of use at once.
func (p *Proxy) UpdateEndpoints(m map[route.Backend][]route.Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update(m)
}

// DropEndpoints does with backends what SetEndpoints does with those that are
// not named, and leaves all others alone.
func (p *Proxy) DropEndpoints(backends []route.Backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range backends {
		p.drop(b)
	}
}
