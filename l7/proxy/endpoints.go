package proxy

import (
	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/route"
)

// UpdateEndpoints gives each backend of list those endpoints, as SetEndpoints
// does, and leaves all other backends alone: one Pod that leaves among thousands
// of backends is out of use at once.
func (p *Proxy) UpdateEndpoints(list []route.Endpoints) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pools) == 0 { // they are many at a start
		p.pools = make(map[route.Backend]*backend.Pool, len(list))
	}
	for i := range list {
		p.update(list[i].Backend, list[i].Endpoints)
	}
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
