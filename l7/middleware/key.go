package middleware

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/value"
)

// A Key says which requests count together.
type Key struct {
	// By is "client", which "" is too, "host", "header", "user" or "all". A
	// client is an IPv4 address or an IPv6 /64, of which one has as many
	// addresses as it likes.
	By string `json:"by,omitempty"`
	// Header is the name of the field where By is "header"; requests without
	// one count together.
	Header string `json:"header,omitempty"`
	// Whose is the address of a client.
	Whose Whose `json:"whose,omitzero"`
}

// keyNames are the values of By.
var keyNames = []string{"client", "host", "header", "user", "all"}

// A hasher turns keys into numbers of one size, so that nobody chooses how much
// memory they take; seed keeps clients from finding two that are the same.
type hasher struct {
	key  Key
	seed maphash.Seed
}

func newHasher(k Key) hasher { return hasher{k, maphash.MakeSeed()} }

func (h hasher) of(r *Request) uint64 {
	switch h.key.By {
	case "host":
		return maphash.String(h.seed, r.Host)
	case "header":
		return maphash.String(h.seed, strings.Join(r.Header.Values(h.key.Header), "\n"))
	case "user":
		return maphash.String(h.seed, r.User)
	case "all":
		return 0
	}
	addr, ok := h.key.Whose.address(r)
	if !ok {
		addr = r.Peer.Unmap()
	}
	bytes := addr.As16()
	if addr.Is4() {
		return maphash.Bytes(h.seed, bytes[:])
	}
	return maphash.Bytes(h.seed, bytes[:8])
}

// parseKey checks a key as it is written, "header:X-Api-Key".
func parseKey(p value.Parser, s string, depth *int) Key {
	by, header, named := strings.Cut(s, ":")
	k := Key{By: by, Header: header, Whose: Whose{Depth: value.Number(p, depth, "depth", 0, 1, 100)}}
	switch {
	case by != "" && !slices.Contains(keyNames, by), named != (by == "header"),
		named && !httpguts.ValidHeaderFieldName(header):
		p.Bad("key", fmt.Sprintf("%q is no key: allowed are client, host, header:NAME, user, all", s))
	case depth != nil && by != "" && by != "client":
		p.Bad("depth", "belongs to key = \"client\"")
	}
	return k
}
