package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	netv1 "k8s.io/api/networking/v1"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// traefikRateLimit reads rate-limit.
func (n notes) traefikRateLimit() []route.Step {
	if !n.has("rate-limit") {
		return nil
	}
	var limit struct {
		Extractor string `json:"extractorfunc"`
		Sets      map[string]struct {
			Period  span  `json:"period"`
			Average int64 `json:"average"`
			Burst   int64 `json:"burst"`
		} `json:"rateset"`
	}
	if err := n.yaml("rate-limit", &limit); err != nil {
		n.refuse("rate-limit", "%v: write extractorfunc, and rateset with period, average and burst", err)
		return nil
	}
	key, ok := traefikExtractor(limit.Extractor)
	if !ok {
		n.refuse("rate-limit", "extractorfunc %q is unknown: write client.ip, request.host or request.header.NAME", limit.Extractor)
		return nil
	}
	step := middleware.RateLimit{Key: key}
	for _, name := range slices.Sorted(maps.Keys(limit.Sets)) {
		s := limit.Sets[name]
		if s.Period <= 0 || s.Average <= 0 || s.Burst <= 0 || s.Burst > 1<<31 {
			n.refuse("rate-limit", "rateset %q: period, average and burst must be above 0: correct it", name)
			return nil
		}
		step.Rates = append(step.Rates, middleware.Rate{
			Average: float64(s.Average), Period: time.Duration(s.Period), Burst: int(s.Burst),
		})
	}
	if len(step.Rates) == 0 {
		n.refuse("rate-limit", "has no rateset: write one with period, average and burst")
		return nil
	}
	return []route.Step{step}
}

// traefikExtractor reads which requests count together.
func traefikExtractor(s string) (middleware.Key, bool) {
	switch s {
	case "client.ip":
		return middleware.Key{By: "client"}, true
	case "request.host":
		return middleware.Key{By: "host"}, true
	}
	name, ok := strings.CutPrefix(s, "request.header.")
	return middleware.Key{By: "header", Header: name}, ok && httpguts.ValidHeaderFieldName(name)
}

// A span is a duration as Traefik writes it: "3s", or a number of seconds.
type span time.Duration

// UnmarshalJSON reads either.
func (s *span) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		text = string(b)
	}
	d, err := time.ParseDuration(text)
	if seconds, numeric := strconv.ParseFloat(text, 64); numeric == nil && seconds >= 0 && seconds < 1e9 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil {
		return fmt.Errorf("%q is no duration", text)
	}
	*s = span(d)
	return nil
}

// traefikErrorPages reads error-pages. Traefik's backend is the host and the path of a
// rule; the name of a Service, or NAME:PORT, will do as well. Both are looked
// for in the Ingress's own namespace.
func (n notes) traefikErrorPages() []route.Step {
	if !n.has("error-pages") {
		return nil
	}
	var pages map[string]struct {
		Status  []any  `json:"status"` // Traefik's examples have numbers and texts
		Backend string `json:"backend"`
		Query   string `json:"query"`
	}
	if err := n.yaml("error-pages", &pages); err != nil {
		n.bad("error-pages", "%v, they are left out: write status, backend and query of each", err)
		return nil
	}
	var out []route.Step
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		p := pages[name]
		b, ok := n.pageBackend(p.Backend)
		if !ok {
			n.bad("error-pages", "%s: %q is neither HOST/PATH of a rule nor a Service of namespace %s, the page is left out: correct it", name, p.Backend, n.o.Namespace)
			continue
		}
		statuses, bad := traefikStatuses(p.Status)
		if bad != "" || len(statuses) == 0 {
			n.bad("error-pages", "%s: %q is no status and no range of them, the page is left out: write some such as \"500-599\"", name, bad)
			continue
		}
		query := p.Query
		if query != "" && query[0] != '/' {
			query = "/" + query
		}
		step := middleware.ErrorPages{Statuses: statuses, Backend: b, Query: query}
		if err := step.Check(); err != nil {
			n.bad("error-pages", "%s: %v, the page is left out: correct it", name, err)
			continue
		}
		out = append(out, step)
	}
	return out
}

// traefikStatuses reads "404" and "500-599", and returns one that is neither.
func traefikStatuses(list []any) ([]middleware.Statuses, string) {
	var out []middleware.Statuses
	for _, v := range list {
		text := fmt.Sprint(v)
		from, to, ok := strings.Cut(text, "-")
		if !ok {
			to = from
		}
		a, err1 := strconv.Atoi(strings.TrimSpace(from))
		b, err2 := strconv.Atoi(strings.TrimSpace(to))
		if err1 != nil || err2 != nil || a < 100 || b > 599 || a > b {
			return nil, text
		}
		out = append(out, middleware.Statuses{From: a, To: b})
	}
	return out, ""
}

// pageBackend finds the backend that an error page comes from.
func (n notes) pageBackend(name string) (route.Backend, bool) {
	of := pageName{n.o.Namespace, name}
	if b := remember(&n.t.reads.pages, of, n.t.of.page(of)); b != (route.Backend{}) {
		return b, true
	}
	service, port, _ := strings.Cut(name, ":")
	b := route.Backend{Namespace: n.o.Namespace, Service: service, Port: port}
	s := n.t.service(b)
	if s == nil || len(s.Spec.Ports) == 0 {
		return b, false
	}
	if port == "" {
		b.Port = strconv.Itoa(int(s.Spec.Ports[0].Port))
	}
	return b, true
}

// serviceBackend returns the backend that names a Service and one port of it.
func serviceBackend(namespace string, b netv1.IngressBackend) (route.Backend, bool) {
	s := b.Service
	if s == nil || b.Resource != nil || s.Name == "" || (s.Port.Name == "") == (s.Port.Number == 0) {
		return route.Backend{}, false
	}
	port := s.Port.Name
	if port == "" {
		port = strconv.Itoa(int(s.Port.Number))
	}
	return route.Backend{Namespace: namespace, Service: s.Name, Port: port}, true
}
