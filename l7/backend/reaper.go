package backend

import "sync"

// A Reaper closes the pooled connections of any number of Pools that are not to
// be used again. It costs what there are of Pools that keep connections: of ten
// thousand most have none, most of the time. The zero one is ready.
type Reaper struct {
	mu    sync.Mutex
	pools map[*Pool]struct{} // those that may keep something
}

// Reap is to be called several times a second.
func (r *Reaper) Reap() {
	r.mu.Lock()
	pools := r.pools
	r.pools = nil
	r.mu.Unlock()
	for p := range pools {
		// First the flag, then the look: what is kept after it comes back by itself.
		p.keeps.Store(false)
		if p.reap() {
			p.kept()
		}
	}
}

// kept has the reaper look at p, which keeps a connection now.
func (p *Pool) kept() {
	if p.reaper == nil || p.keeps.Load() || p.keeps.Swap(true) {
		return
	}
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if p.reaper.pools == nil {
		p.reaper.pools = make(map[*Pool]struct{})
	}
	p.reaper.pools[p] = struct{}{}
}
