package kube

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-lb/portico/l7/route"
)

// A traefikPlace is what Traefik names a rule by. Rules of one place share their
// requests, as long as they are of one namespace.
type traefikPlace struct {
	namespace, host, path string
	match                 route.Match
	priority              int
	entrypoints           string
}

func (d *traefik17) place(s route.Spec) traefikPlace {
	return traefikPlace{s.Origin.Namespace, s.Host, s.Path, s.Match, s.Priority, strings.Join(s.Entrypoints, ",")}
}

// A traefikGroup is the backends of one place, in the order of their rules.
type traefikGroup struct {
	spec  int // in the Result's Specs
	parts []traefikPart
}

// A traefikPart is one backend of a group.
type traefikPart struct {
	backend route.Backend
	origin  route.Origin
	// percent is what service-weights says of it; below 0 is nothing.
	percent float64
	// weights is the annotation service-weights of its Ingress, "" for none.
	weights string
}

// join adds s, or its backend to the rule that has its place: that of an older
// Ingress has its annotations count for both. One that is protected otherwise,
// or refused, does not join, and stands for itself.
func (d *traefik17) join(t *translation, i *traefikIngress, s route.Spec, b route.Backend) (joined bool) {
	part := traefikPart{backend: s.Backend, origin: s.Origin, percent: -1}
	if i.weights != nil {
		part.weights = i.found["service-weights"].name
	}
	if p, ok := i.weights[b.Service]; ok {
		part.percent = p
	}
	place := d.place(s)
	g, _ := d.groups.get(place)
	if g != nil && (t.Specs[g.spec].Origin == s.Origin || !i.protected && !t.refused && i.o.Annotations[MiddlewaresAnnotation] == "") {
		g.parts = append(g.parts, part)
		return true
	}
	if g == nil {
		g = d.groups.set(place, d.order.next())
		g.spec, g.parts = len(t.Specs), append(g.parts[:0], part)
	}
	t.add(s)
	return false
}

// finish shares the requests of rules that several backends have joined.
func (d *traefik17) finish(t *translation) {
	for _, i := range d.weighing {
		for _, service := range slices.Sorted(maps.Keys(i.weights)) {
			if !slices.Contains(i.backends, service) {
				i.bad("service-weights", "%s is no Service of the Ingress, and gets no requests: correct its name, or add a path to it", service)
			}
		}
	}
	var shared []*traefikGroup
	for _, g := range d.order.used() {
		// One that was refused after all keeps answering 503.
		if g.compact(); len(g.parts) > 1 && t.Specs[g.spec].Backend != (route.Backend{}) {
			shared = append(shared, g)
		}
	}
	d.otherSlashes(t)
	counts := t.counts(shared)
	for _, g := range shared {
		s := &t.Specs[g.spec]
		weights := make([]float64, len(g.parts))
		for of := range g.ingresses() {
			if sum := weigh(g.parts[of.first:of.end], weights[of.first:of.end], counts); sum != 100 {
				p := g.parts[of.first]
				t.tell(p.origin.String(), annotation(p.weights), "of %s%s adds up to %v %%, the Services keep their proportion: make it 100", s.Host, s.Path, sum)
			}
		}
		g.share(s, weights)
	}
}

// A span of parts, of one Ingress.
type partsOf struct{ first, end int }

// ingresses returns the parts of each Ingress; they stand together.
func (g *traefikGroup) ingresses() iter.Seq[partsOf] {
	return func(yield func(partsOf) bool) {
		for first := 0; first < len(g.parts); {
			end := first + 1
			for end < len(g.parts) && g.parts[end].origin == g.parts[first].origin {
				end++
			}
			if !yield(partsOf{first, end}) {
				return
			}
			first = end
		}
	}
}

// compact leaves each backend once, and those out that cannot be served, unless
// none can.
func (g *traefikGroup) compact() {
	if len(g.parts) < 2 {
		return
	}
	var kept []traefikPart
	for _, p := range g.parts {
		known := slices.ContainsFunc(kept, func(k traefikPart) bool { return k.backend == p.backend })
		if p.backend != (route.Backend{}) && !known {
			kept = append(kept, p)
		}
	}
	g.parts = kept
}

// counted reports whether the shares of g depend on how many endpoints there
// are: all but the first part of each Ingress have a percentage.
func (g *traefikGroup) counted() bool {
	unlisted := 0
	for _, p := range g.parts {
		if p.percent < 0 {
			unlisted++
		}
	}
	return unlisted > 1 || g.parts[0].origin != g.parts[len(g.parts)-1].origin
}

// counts returns how many endpoints the backends have that it depends on.
func (t *translation) counts(groups []*traefikGroup) map[route.Backend]int {
	for _, g := range groups {
		if g.counted() {
			for _, p := range g.parts {
				remember(&t.reads.counts, p.backend, t.of.index.count(p.backend))
			}
		}
	}
	return t.reads.counts
}

// share makes the part with the largest weight the backend of s, and Choices of
// the others.
func (g *traefikGroup) share(s *route.Spec, weights []float64) {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	most := 0
	for i := range weights {
		if total == 0 {
			weights[i] = 1 / float64(len(weights))
		} else {
			weights[i] = math.Round(weights[i]/total*100000) / 100000
		}
		if weights[i] > weights[most] {
			most = i
		}
	}
	s.Backend, s.Choices = g.parts[most].backend, nil
	for i, p := range g.parts {
		// One that gets nothing may when it has endpoints, for which it has to be
		// known.
		if i != most && (weights[i] > 0 || p.percent < 0) {
			s.Choices = append(s.Choices, route.Choice{Backend: p.backend, Share: weights[i]})
		}
	}
}

// weigh sets the weights of one Ingress's parts, and returns what their
// percentages add up to: 100, or something that is not meant.
//
// Services that have a percentage get that; the others share what is left by the
// number of their endpoints. Between Ingresses it is weights that are compared:
// an endpoint without a percentage has 1, and 100 % are 100,000, as Traefik has
// it.
func weigh(parts []traefikPart, weights []float64, counts map[route.Backend]int) (sum float64) {
	unlisted, total := 0, 0
	for _, p := range parts {
		if p.percent < 0 {
			unlisted++
			total += counts[p.backend]
		} else {
			sum += p.percent
		}
	}
	left := max(0, 100-sum)
	for i, p := range parts {
		switch n := counts[p.backend]; {
		case p.percent >= 0:
			weights[i] = 1000 * p.percent
		case p.weights == "":
			weights[i] = float64(n)
		case total == 0:
			weights[i] = 1000 * left / float64(unlisted)
		default:
			weights[i] = 1000 * left * float64(n) / float64(total)
		}
	}
	if unlisted > 0 && sum <= 100 {
		return 100
	}
	return math.Round(sum*1000) / 1000
}

// traefikWeights reads service-weights, in percent by Service.
func (n notes) traefikWeights() map[string]float64 {
	if !n.has("service-weights") {
		return nil
	}
	var raw map[string]any
	if err := n.yaml("service-weights", &raw); err != nil || len(raw) == 0 {
		n.bad("service-weights", "is no list of SERVICE: PERCENT, endpoints share the requests evenly: correct it")
		return nil
	}
	out := make(map[string]float64, len(raw))
	for _, service := range slices.Sorted(maps.Keys(raw)) {
		text := strings.TrimSpace(fmt.Sprint(raw[service]))
		p, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(text, "%")), 64)
		if err != nil || !(p >= 0 && p <= 100) {
			n.bad("service-weights", "%s: %q is no percentage, the Service shares what the others leave: correct it", service, text)
			continue
		}
		out[service] = math.Round(p*1000) / 1000
	}
	return out
}
