package middleware

import (
	"context"
	"net/http"
	"net/netip"
	"slices"

	"github.com/portico-lb/portico/l7/value"
)

// Allow lets those pass whose address is among Sources and not among Denied;
// others get 403. Without Sources all pass but the Denied, and without both
// nobody does: a list that was lost on the way opens nothing.
type Allow struct {
	Sources []netip.Prefix `json:"sources,omitempty"`
	Denied  []netip.Prefix `json:"denied,omitempty"`
	// Whose is the address that counts.
	Whose Whose `json:"whose,omitzero"`
}

// Kind is its name in the configuration.
func (Allow) Kind() string { return "allow" }

// New returns the middleware.
func (s Allow) New(Env) Middleware { return &allow{s} }

type allow struct{ step Allow }

// Handle refuses whom it does not let pass.
func (m *allow) Handle(_ context.Context, r *Request) *Answer {
	addr, ok := m.step.Whose.address(r)
	if ok && m.step.admits(addr) {
		return nil
	}
	return &Answer{Status: http.StatusForbidden, Reason: "not for this address"}
}

func (s *Allow) admits(a netip.Addr) bool {
	holds := func(p netip.Prefix) bool { return p.Contains(a) }
	if len(s.Sources) == 0 {
		return len(s.Denied) > 0 && !slices.ContainsFunc(s.Denied, holds)
	}
	return slices.ContainsFunc(s.Sources, holds) && !slices.ContainsFunc(s.Denied, holds)
}

// A Whose chooses one of the addresses that a request came by. The zero Whose
// is the client's.
type Whose struct {
	// Peer is who connected, be it a proxy.
	Peer bool `json:"peer,omitempty"`
	// Depth is how many proxies stand between that address and us. Where the
	// request came by fewer of those that the entrypoint trusts, there is none.
	Depth int `json:"depth,omitempty"`
}

// address returns the address, and whether there is one.
func (w Whose) address(r *Request) (netip.Addr, bool) {
	a := r.Client
	switch {
	case w.Peer:
		a = r.Peer
	case w.Depth >= len(r.Hops) && w.Depth > 0:
		return netip.Addr{}, false
	case w.Depth > 0:
		a = r.Hops[w.Depth]
	}
	return a.Unmap().WithZone(""), a.IsValid()
}

// An AllowSection is allow = {...}.
type AllowSection struct {
	Sources []string `toml:"sources"`
	Denied  []string `toml:"denied"`
	Depth   *int     `toml:"depth"`
}

// Parse checks s.
func (s AllowSection) Parse(p value.Parser) Step {
	if len(s.Sources) == 0 && len(s.Denied) == 0 {
		p.Bad("", "lets nobody pass: want sources, or denied")
	}
	return Allow{
		Sources: p.Prefixes(s.Sources, "sources"),
		Denied:  p.Prefixes(s.Denied, "denied"),
		Whose:   Whose{Depth: value.Number(p, s.Depth, "depth", 0, 1, 100)},
	}
}
