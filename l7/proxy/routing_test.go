package proxy

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/route"
)

// TestRoutesComeAndGo changes routes and endpoints, as they come, and counts each
// time what is kept: the ways of the routes that there are, and the pools that
// are used or have endpoints.
func TestRoutesComeAndGo(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	p := New(Options{Log: slog.New(slog.DiscardHandler)})
	backendOf := func() route.Backend {
		return route.Backend{Namespace: "ns", Service: fmt.Sprintf("s%d", random.IntN(8)), Port: "80"}
	}
	table := &route.Table{}
	held := map[route.Backend]bool{} // have endpoints
	for step := range 300 {
		changed := map[string][]route.Spec{}
		for range 1 + random.IntN(3) {
			host := fmt.Sprintf("h%d.test", random.IntN(6))
			changed[host] = nil
			for range random.IntN(3) {
				s := route.Spec{Host: host, Path: []string{"/", "/a"}[random.IntN(2)], Backend: backendOf()}
				if random.IntN(3) == 0 {
					s.Choices = []route.Choice{{Backend: backendOf(), Share: 0.5}, {Header: "x", Value: "y", Never: true}}
				}
				changed[host] = append(changed[host], s)
			}
		}
		table = table.With(changed)
		b := backendOf()
		switch random.IntN(3) {
		case 0:
			p.UpdateEndpoints([]route.Endpoints{{Backend: b, Endpoints: []route.Endpoint{{Addr: netip.MustParseAddrPort("192.0.2.1:80")}}}})
			held[b] = true
		case 1:
			p.DropEndpoints([]route.Backend{b})
			delete(held, b)
		}
		p.SetRoutes(table)

		r := p.routing.Load()
		used := map[*backend.Pool]int{}
		for _, rt := range table.Routes() {
			w := r.ways[rt.Number()]
			if w.route != rt || w.pool != p.pools[rt.Backend] || (w.fork != nil) != (len(rt.Choices) > 0) {
				t.Fatalf("step %d: %v has the way %+v", step, rt.Spec, w)
			}
			for b := range rt.Backends() {
				used[p.pools[b]]++
			}
		}
		ways := 0
		for _, w := range r.ways {
			if w.route != nil {
				ways++
			}
		}
		if ways != len(table.Routes()) || len(r.used) != len(used) {
			t.Fatalf("step %d: %d ways of %d routes, %d pools used, want %d", step, ways, len(table.Routes()), len(r.used), len(used))
		}
		for b, pl := range p.pools {
			if r.used[pl] != used[pl] || pl.Empty() == held[b] || used[pl] == 0 && !held[b] {
				t.Fatalf("step %d: the pool of %v is used %d times, want %d; it has endpoints: %v, want %v", step, b, r.used[pl], used[pl], !pl.Empty(), held[b])
			}
		}
	}
}
