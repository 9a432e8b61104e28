package route

import (
	"slices"
	"strings"
)

// With returns a Table in which the hosts that changed names have the rules that
// it says, none for no rules, and all others those of t, at the cost of what has
// changed. The caller leaves the rules as they are.
func (t *Table) With(changed map[string][]Spec) *Table {
	out := &Table{
		hosts: t.hosts.clone(len(changed)), wildcards: t.wildcards.clone(0), any: t.any, rules: t.rules,
		numbers: numbers{t.numbers.next, slices.Clone(t.numbers.free)},
	}
	for name, specs := range changed {
		var s *site
		if len(specs) > 0 {
			s = newSite(specs)
		}
		out.put(name, s)
	}
	return out
}

// put makes s what answers for the Host name; nil is nothing.
func (t *Table) put(name string, s *site) {
	if s != nil {
		for _, r := range s.routes() {
			r.number = t.numbers.take()
		}
	}
	var old *site
	if name == "" {
		old, t.any = t.any, s
	} else if rest, ok := strings.CutPrefix(name, "*."); ok {
		old = t.wildcards.put(rest, s)
	} else {
		old = t.hosts.put(name, s)
	}
	t.rules += s.size() - old.size()
	if old != nil {
		for _, r := range old.routes() {
			t.numbers.free = append(t.numbers.free, r.number)
		}
	}
}

// numbers are those that the routes of a Table have.
type numbers struct {
	next int32
	free []int32 // of those below next
}

func (n *numbers) take() int32 {
	if last := len(n.free) - 1; last >= 0 {
		number := n.free[last]
		n.free = n.free[:last]
		return number
	}
	n.next++
	return n.next - 1
}
