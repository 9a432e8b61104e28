package route

import (
	"regexp"
	"regexp/syntax"
	"slices"
)

// host holds the rules of one host. Of those that match a path the one with
// the lowest rank answers.
type host struct {
	others   *others // nil where there are none
	root     node
	fallback *Route   // Match Default
	routes   []*Route // all that have a place, by path and match
}

// others are the rules of a host that compare more than path elements.
type others struct {
	begins  begins
	regexps []expression // from the lowest rank on
}

// newHost gives routes their places, the preferred ones first, and tells found
// who got which at the entrypoint.
func newHost(routes []*Route, entrypoint string, found *contest) *host {
	h := &host{}
	for _, r := range routes {
		winner := h.claim(r)
		found.add(r, winner, entrypoint)
		if winner == r {
			h.routes = append(h.routes, r)
		}
	}
	slices.SortFunc(h.routes, compareShown)
	return h
}

// An expression is a rule with a regular expression.
type expression struct {
	*Route
	match *regexp.Regexp
}

// claim gives r its place, unless a rule of the same path and match has it
// already, and returns who has it.
func (h *host) claim(r *Route) *Route {
	switch r.Match {
	case Default:
		return take(&h.fallback, r)
	case Begins, Regexp:
		if h.others == nil {
			h.others = &others{}
		}
		if r.Match == Begins {
			return h.others.begins.claim(r)
		}
		return h.others.claimRegexp(r)
	}
	return take(h.root.place(r.Path, r.Match), r)
}

// take returns who has the place.
func take(place **Route, r *Route) *Route {
	if *place == nil {
		*place = r
	}
	return *place
}

func (h *others) claimRegexp(r *Route) *Route {
	for _, e := range h.regexps {
		if e.Path == r.Path {
			return e.Route
		}
	}
	if match, err := compile(r.Path); err == nil {
		h.regexps = append(h.regexps, expression{r, match})
	}
	return r
}

// CheckRegexp says what is wrong with the Path of a rule with Match Regexp. The
// syntax is that of Go's regexp, RE2: whatever is asked, it takes linear time.
func CheckRegexp(expr string) error {
	_, err := compile(expr)
	return err
}

// compile makes an expression of a rule's: from the begin on, in any case.
func compile(expr string) (*regexp.Regexp, error) {
	if _, err := syntax.Parse(expr, syntax.Perl); err != nil {
		return nil, err // a parenthesis too many would close ours
	}
	return regexp.Compile("^(?i:" + expr + ")")
}

// lookup returns the route of the lowest rank whose path matches, or nil.
func (h *host) lookup(path []byte) *Route {
	best := h.root.lookup(path)
	if h.others != nil {
		return h.others.lookup(path, best)
	}
	return best
}

// lookup returns best or, of lower rank, one of h.
func (h *others) lookup(path []byte, best *Route) *Route {
	best = better(best, h.begins.lookup(path))
	for _, e := range h.regexps {
		if best != nil && best.rank < e.rank {
			break
		}
		if e.match.Match(path) {
			return e.Route
		}
	}
	return best
}

// better returns that with the lower rank; each may be nil.
func better(a, b *Route) *Route {
	if a == nil || b != nil && b.rank < a.rank {
		return b
	}
	return a
}

// begins holds the rules of a host that compare characters: a list from the
// lowest rank on, and beyond a few an index.
type begins struct {
	list    []*Route
	byPath  map[string]*Route
	lengths []int // of the paths in byPath
}

// beginsListed is how many are compared one by one: about as many as a map
// costs.
const beginsListed = 8

func (b *begins) claim(r *Route) *Route {
	if b.byPath == nil {
		for _, other := range b.list {
			if other.Path == r.Path {
				return other
			}
		}
		b.list = append(b.list, r)
		if len(b.list) > beginsListed {
			b.index()
		}
		return r
	}
	if other := b.byPath[r.Path]; other != nil {
		return other
	}
	b.put(r)
	return r
}

// index puts a list that has become long into the map.
func (b *begins) index() {
	b.byPath = make(map[string]*Route, 2*len(b.list))
	for _, r := range b.list {
		b.put(r)
	}
	b.list = nil
}

func (b *begins) put(r *Route) {
	b.byPath[r.Path] = r
	if !slices.Contains(b.lengths, len(r.Path)) {
		b.lengths = append(b.lengths, len(r.Path))
	}
}

func (b *begins) lookup(path []byte) *Route {
	for _, r := range b.list {
		if len(r.Path) <= len(path) && string(path[:len(r.Path)]) == r.Path {
			return r
		}
	}
	var best *Route
	for _, n := range b.lengths {
		if n <= len(path) {
			best = better(best, b.byPath[string(path[:n])])
		}
	}
	return best
}
