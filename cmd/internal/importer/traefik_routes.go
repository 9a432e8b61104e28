package importer

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// routes writes a [[l7.route]] of each frontend and each of its paths.
func (t *traefik) routes() {
	for _, name := range t.under("frontends") {
		t.frontend(name)
	}
	for _, name := range t.under("backends") { // what its frontends have not told
		for _, o := range t.options {
			if len(o.path) > 2 && o.path[0] == "backends" && strings.EqualFold(o.path[1], name) && o.value != nil && !t.used(name) {
				t.doc.note(nil, Wrong, o.at, "no frontend uses backend %s", name)
				break
			}
		}
	}
}

// used says that a frontend sends requests to a backend.
func (t *traefik) used(backend string) bool {
	return slices.ContainsFunc(t.under("frontends"), func(f string) bool {
		o, has := t.get("frontends", f, "backend")
		return has && strings.EqualFold(o.text(), backend)
	})
}

// A rule is what the rules of a frontend come to: one of Hosts and one of
// Paths must match.
type rule struct {
	hosts []string
	paths []rulePath
	// rewrites are middlewares, lost what is not understood.
	rewrites []string
	lost     []string
}

type rulePath struct{ path, match string }

func (t *traefik) frontend(name string) {
	backend, has := t.get("frontends", name, "backend")
	at := t.at("frontends", name)
	if !has {
		t.doc.note(nil, Wrong, at, "frontend %s has no backend", name)
		return
	}
	guards := t.frontendGuards(name)
	endpoints, extra, policy := t.backend(backend)
	if endpoints == "" {
		t.doc.note(nil, Wrong, backend.at, "backend %s has no server: frontend %s is left out", backend.text(), name)
		return
	}
	for _, r := range t.under("frontends", name, "routes") {
		o, has := t.get("frontends", name, "routes", r, "rule")
		if !has {
			continue
		}
		rl := t.parseRule(name, o)
		if len(rl.lost) > 0 {
			t.doc.note(nil, Lost, o.at, "%s of rule %q: the route is left out, for without it it would take more requests", strings.Join(rl.lost, ", "), o.whole())
			continue
		}
		for _, host := range orEmpty(rl.hosts) {
			for _, p := range orAll(rl.paths) {
				t.route(name, o.at, host, p, append(append(slices.Clone(guards), rl.rewrites...), extra...), endpoints, policy)
			}
		}
	}
}

func orEmpty(s []string) []string {
	if len(s) == 0 {
		return []string{""}
	}
	return s
}

func orAll(p []rulePath) []rulePath {
	if len(p) == 0 {
		return []rulePath{{"/", "prefix"}}
	}
	return p
}

func (t *traefik) frontendGuards(name string) []string {
	var guards []string
	entrypoints := t.under("entryPoints")
	if o, has := t.get("frontends", name, "entryPoints"); has {
		entrypoints = o.list()
	}
	for _, e := range entrypoints {
		for _, g := range t.guards[strings.ToLower(e)] {
			if !slices.Contains(guards, g) {
				guards = append(guards, g)
			}
		}
	}
	return append(guards, t.guard(name, []string{"frontends", name})...)
}

func (t *traefik) route(name string, at Origin, host string, p rulePath, middlewares []string, endpoints, policy string) {
	r := t.doc.table("[[l7.route]]", at)
	r.set(at, "name", t.free(name))
	if host != "" {
		r.set(at, "host", host)
	}
	r.set(at, "path", p.path)
	r.set(at, "match", p.match)
	if o, has := t.get("frontends", name, "entryPoints"); has {
		r.set(o.at, "entrypoints", o.list())
	}
	if len(middlewares) > 0 {
		r.set(at, "middlewares", middlewares)
	}
	b, _ := t.get("frontends", name, "backend")
	r.set(b.at, "endpoint", raw(endpoints))
	if policy != "" {
		r.set(b.at, "backend", raw(policy))
	}
}

// parseRule reads "Host:a,b;PathPrefixStrip:/c".
func (t *traefik) parseRule(name string, o option) rule {
	var r rule
	for part := range strings.SplitSeq(o.whole(), ";") {
		kind, value, _ := strings.Cut(strings.TrimSpace(part), ":")
		value = strings.TrimSpace(value)
		var list []string
		for v := range strings.SplitSeq(value, ",") {
			list = append(list, strings.TrimSpace(v))
		}
		switch strings.ToLower(kind) {
		case "host":
			r.hosts = append(r.hosts, list...)
		case "hostregexp":
			for _, h := range list {
				rest, wild := strings.CutPrefix(h, "{subdomain:[a-z0-9-]+}.")
				rest2, wild2 := strings.CutPrefix(h, "{subdomain:[a-z]+}.")
				switch {
				case wild:
					r.hosts = append(r.hosts, "*."+rest)
				case wild2:
					r.hosts = append(r.hosts, "*."+rest2)
				default:
					r.lost = append(r.lost, part)
				}
			}
		case "path", "pathstrip", "pathprefix", "pathprefixstrip":
			match := "exact"
			if strings.HasPrefix(strings.ToLower(kind), "pathprefix") {
				match = "prefix"
			}
			for _, p := range list {
				if strings.Contains(p, "{") {
					r.lost = append(r.lost, part)
					continue
				}
				r.paths = append(r.paths, rulePath{cmp.Or(p, "/"), match})
			}
			if strings.HasSuffix(strings.ToLower(kind), "strip") {
				t.middleware(o.at, name+"-strip", "rewrite", "{ strip_prefix = "+toTOML(list)+" }", func(n string) { r.rewrites = append(r.rewrites, n) })
			}
		case "addprefix":
			t.middleware(o.at, name+"-prefix", "rewrite", "{ add_prefix = "+quote(value)+" }", func(n string) { r.rewrites = append(r.rewrites, n) })
		case "replacepath":
			t.middleware(o.at, name+"-path", "rewrite", "{ path = "+quote(value)+" }", func(n string) { r.rewrites = append(r.rewrites, n) })
		case "replacepathregex":
			from, to, _ := strings.Cut(value, " ")
			t.middleware(o.at, name+"-path", "rewrite", fmt.Sprintf("{ regex = %s, replacement = %s }", quote(from), quote(strings.TrimSpace(to))), func(n string) { r.rewrites = append(r.rewrites, n) })
		default:
			r.lost = append(r.lost, part)
		}
	}
	return r
}

// backend returns the endpoints of one, the middlewares that it asks for, and
// how its endpoints are used.
func (t *traefik) backend(o option) (endpoints string, middlewares []string, policy string) {
	name := o.text()
	get := func(names ...string) (option, bool) {
		return t.get(append([]string{"backends", name}, names...)...)
	}
	var list, policies []string
	scheme := ""
	for _, s := range t.under("backends", name, "servers") {
		u, has := get("servers", s, "url")
		if !has {
			continue
		}
		address, kind, ok := endpoint(u.text())
		if !ok {
			t.doc.note(nil, Wrong, u.at, "%s is no address that a server can have: wanted is http://ADDRESS:PORT", u.text())
			continue
		}
		if scheme = cmp.Or(scheme, kind); kind != scheme {
			t.doc.note(nil, Todo, u.at, "%s is left out: the endpoints of a route speak the same protocol, %s as the first", u.text(), scheme)
			continue
		}
		e := "{ address = " + quote(address)
		if w, has := get("servers", s, "weight"); has {
			if n, err := strconv.Atoi(w.text()); err == nil {
				e += fmt.Sprintf(", weight = %d", n)
			}
			t.doc.note(nil, Changed, w.at, "weight of %s: in endpoint", s)
		}
		list = append(list, e+" }")
		t.doc.note(nil, Changed, u.at, "url of %s: in endpoint", s)
	}
	if len(list) == 0 {
		return "", nil, ""
	}
	if scheme == "https" || scheme == "h2c" {
		policies = append(policies, "protocol = "+quote(scheme))
	}
	if m, has := get("loadBalancer", "method"); has {
		if strings.EqualFold(m.text(), "drr") {
			policies = append(policies, `balance = "least_requests"`)
		}
		t.doc.note(nil, Changed, m.at, "method %s: balance of the route", m.text())
	}
	policies = append(policies, t.sticky(name, get)...)
	middlewares = t.backendGuards(name, get)
	if len(policies) > 0 {
		policy = "{ " + strings.Join(policies, ", ") + " }"
	}
	return "[" + strings.Join(list, ", ") + "]", middlewares, policy
}

func (t *traefik) sticky(name string, get func(...string) (option, bool)) []string {
	cookie := ""
	if o, has := get("loadBalancer", "sticky"); has {
		if o.truth() {
			cookie = "_TRAEFIK_BACKEND"
		}
		t.doc.note(nil, Changed, o.at, "sticky: of the route")
	}
	if t.has("backends", name, "loadBalancer", "stickiness") {
		cookie = name
	}
	if o, has := get("loadBalancer", "stickiness", "cookieName"); has {
		cookie = o.text()
		t.doc.note(nil, Changed, o.at, "cookieName: cookie of sticky")
	}
	if cookie == "" {
		return nil
	}
	return []string{"sticky = { cookie = " + quote(cookie) + " }"}
}

// backendGuards are the middlewares that a backend asks for.
func (t *traefik) backendGuards(name string, get func(...string) (option, bool)) []string {
	var used []string
	use := func(n string) { used = append(used, n) }
	if o, has := get("circuitBreaker", "expression"); has {
		t.middleware(o.at, name+"-breaker", "circuit_breaker", "{ expression = "+quote(o.whole())+" }", use)
	}
	if o, has := get("maxConn", "amount"); has {
		key := "client"
		if e, has := get("maxConn", "extractorFunc"); has {
			key = map[string]string{"client.ip": "client", "request.host": "host"}[e.text()]
			if h, isHeader := strings.CutPrefix(e.text(), "request.header."); isHeader {
				key = "header:" + h
			}
			key = cmp.Or(key, "client")
			t.doc.note(nil, Changed, e.at, "extractorFunc: key of in_flight")
		}
		t.middleware(o.at, name+"-connections", "in_flight", fmt.Sprintf("{ most = %s, key = %s }", onlyNumber(o.text()), quote(key)), use)
	}
	var bounds []string
	var at Origin
	for _, b := range []struct{ from, to string }{{"maxRequestBodyBytes", "max_request"}, {"maxResponseBodyBytes", "max_response"}} {
		if o, has := get("buffering", b.from); has {
			bounds, at = append(bounds, b.to+" = "+quote(onlyNumber(o.text()))), o.at
			t.doc.note(nil, Changed, o.at, "%s: %s of buffering", b.from, b.to)
		}
	}
	if len(bounds) > 0 {
		t.middleware(at, name+"-buffering", "buffering", "{ "+strings.Join(bounds, ", ")+" }", use)
	}
	return used
}

// endpoint reads the URL of a server. A name is none: routes outside of
// Kubernetes have addresses.
func endpoint(text string) (address, scheme string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || net.ParseIP(u.Hostname()) == nil {
		return "", "", false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
		port = cmp.Or(port, "80")
	}
	return net.JoinHostPort(u.Hostname(), port), u.Scheme, true
}
