package route

import "bytes"

// A View is a Table as one entrypoint has it.
type View struct {
	table      *Table
	entrypoint string
}

// At returns the View of an entrypoint: the rules for all of them and those for
// this one.
func (t *Table) At(entrypoint string) View { return View{t, entrypoint} }

// Lookup is that of the View of an entrypoint that no rule names.
func (t *Table) Lookup(name, path []byte) *Route { return t.At("").Lookup(name, path) }

// candidates are the rules that a request for a host is matched with, by the
// kind of their host; nil are none.
func (v View) candidates(name []byte) (found [3]*host) {
	found[0] = v.table.hosts.find(name).site.at(v.entrypoint)
	if i := bytes.IndexByte(name, '.'); i > 0 {
		found[1] = v.table.wildcards.find(name[i+1:]).site.at(v.entrypoint)
	}
	found[2] = v.table.any.at(v.entrypoint)
	return found
}

// Lookup returns the route for a request's canonical host and path (see
// CanonicalHost and CanonicalPath), or nil. It allocates nothing.
func (v View) Lookup(name, path []byte) *Route {
	return v.lookup(v.table.hosts.find(name).site, name, path)
}

// Number is that of the route that Lookup returns, or below 0 without one. For most
// hosts it is known before the route itself has come from memory.
func (v View) Number(name, path []byte) int {
	s := v.table.hosts.find(name)
	if s.only > 0 && len(path) > 0 && path[0] == '/' {
		return int(s.only - 1)
	}
	if r := v.lookup(s.site, name, path); r != nil {
		return r.Number()
	}
	return -1
}

// lookup is Lookup where s is that of the host, nil for none.
func (v View) lookup(s *site, name, path []byte) *Route {
	if len(path) == 0 || path[0] != '/' {
		return nil // the * of OPTIONS names no resource
	}
	// Nearly all requests are for a host that has a rule for them: those do not
	// pay for the other kinds.
	if h := s.at(v.entrypoint); h != nil {
		if r := h.lookup(path); r != nil {
			return r
		}
	}
	return v.lookupFurther(name, path)
}

// lookupFurther is Lookup where no rule of the host itself matches, but for its
// Default.
func (v View) lookupFurther(name, path []byte) *Route {
	candidates := v.candidates(name)
	for _, h := range candidates[1:] {
		if h == nil {
			continue
		}
		if r := h.lookup(path); r != nil {
			return r
		}
	}
	for _, h := range candidates {
		if h != nil && h.fallback != nil {
			return h.fallback
		}
	}
	return nil
}
