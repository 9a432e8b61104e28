package proxy

import (
	"context"
	"net/netip"
	"sync"
)

// A gate counts connections of clients and holds them to their number.
type gate struct {
	mu      sync.Mutex
	caps    Caps
	open    int
	sources map[netip.Addr]int
	// bell is rung when there may be room for somebody who waits.
	bell chan struct{}
}

func newGate() *gate {
	return &gate{sources: make(map[netip.Addr]int), bell: make(chan struct{}, 1)}
}

// set makes caps the bounds of those who come from now on.
func (g *gate) set(caps Caps) {
	g.mu.Lock()
	g.caps = caps
	g.mu.Unlock()
	g.ring()
}

func (g *gate) ring() {
	select {
	case g.bell <- struct{}{}:
	default: // already rung
	}
}

// full reports whether there is no room.
func (g *gate) full() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.caps.Connections > 0 && g.open >= g.caps.Connections
}

// wait waits for room, or for the end of ctx. Who accepts then may be one of
// several: each of them may let one more in than there is room for.
func (g *gate) wait(ctx context.Context) {
	for g.full() {
		select {
		case <-ctx.Done():
			return
		case <-g.bell:
		}
	}
}

// enter counts a connection.
func (g *gate) enter() {
	g.mu.Lock()
	g.open++
	room := g.caps.Connections > g.open
	g.mu.Unlock()
	if room {
		g.ring() // for another one who waits
	}
}

// leave takes enter back.
func (g *gate) leave() {
	g.mu.Lock()
	g.open--
	bounded := g.caps.Connections > 0
	g.mu.Unlock()
	if bounded {
		g.ring()
	}
}

// admit counts a connection from a source, and reports whether that may have
// another one.
func (g *gate) admit(source netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sources[source] >= g.caps.PerSource {
		return false
	}
	g.sources[source]++
	return true
}

// dismiss takes admit back.
func (g *gate) dismiss(source netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sources[source]--; g.sources[source] == 0 {
		delete(g.sources, source)
	}
}

// sourceOf returns what an address counts for: in IPv6 the network that one
// client commonly has for itself.
func sourceOf(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// admit reports whether c may have another connection; if so, depart must
// follow.
func (c *client) admit() bool {
	if c.bounds.Caps.PerSource == 0 || c.trusted {
		return true
	}
	source := sourceOf(c.peer)
	if !c.p.gate.admit(source) {
		c.p.refused.source.Add(1)
		if c.p.refused.sourceLog.speak(c.p.clock.now()) {
			c.p.log.Warn("connection above the limit of its source closed; further ones within a minute are only counted",
				"entrypoint", c.s.entry.Name, "source", source, "limit", c.bounds.Caps.PerSource)
		}
		return false
	}
	c.counted = source
	return true
}

// depart ends what admit has begun.
func (c *client) depart() {
	if c.counted.IsValid() {
		c.p.gate.dismiss(c.counted)
	}
}
