package route

import (
	"bytes"
	"strings"
)

// A node is one path element of a host's rules. The path of the root is "/".
type node struct {
	// prefix matches with and without a trailing slash, whichever way it was
	// written.
	prefix   *Route
	children map[string]*node
	// exact holds the route for the path without a trailing slash and the one
	// for the path with it. The root's path ends with a slash.
	exact [2]*Route
}

// place returns where the route for path is kept below n, and makes the nodes
// on the way.
func (n *node) place(path string, m Match) **Route {
	rest := strings.TrimPrefix(path, "/")
	for rest != "" {
		elem, after, _ := strings.Cut(rest, "/")
		child := n.children[elem]
		if child == nil {
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			child = &node{}
			n.children[elem] = child
		}
		n, rest = child, after
	}
	if m == Exact {
		return &n.exact[slashIndex(strings.HasSuffix(path, "/"))]
	}
	return &n.prefix
}

// lookup returns the route of the lowest rank whose path matches, or nil. That
// is the longest one where no rule has a priority.
func (n *node) lookup(path []byte) *Route {
	best := n.prefix
	rest := path[1:]
	for len(rest) > 0 {
		if n.children == nil {
			return best
		}
		elem := rest
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			elem, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		n = n.children[string(elem)]
		if n == nil {
			return best
		}
		best = better(best, n.prefix)
	}
	return better(best, n.exact[slashIndex(path[len(path)-1] == '/')])
}

func slashIndex(slash bool) int {
	if slash {
		return 1
	}
	return 0
}
