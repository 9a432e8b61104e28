package kube

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// nginxLimits reads limit-connections, limit-rps and limit-rpm, by client.
func (n notes) nginxLimits() []route.Step {
	var out []route.Step
	burst, ok := n.nginxLimit("limit-burst-multiplier", 5)
	if !ok {
		return nil
	}
	if burst < 1 {
		burst = 1
	}
	limit := middleware.RateLimit{Key: middleware.Key{By: "client"}}
	for _, l := range []struct {
		key    string
		period time.Duration
	}{{"limit-rps", time.Second}, {"limit-rpm", time.Minute}} {
		rate, ok := n.nginxLimit(l.key, 0)
		if !ok {
			return nil
		}
		if rate > 0 {
			limit.Rates = append(limit.Rates, middleware.Rate{Average: float64(rate), Period: l.period, Burst: rate * burst})
		}
	}
	if len(limit.Rates) > 0 {
		out = append(out, limit)
	}
	most, ok := n.nginxLimit("limit-connections", 0)
	if !ok {
		return nil
	}
	if most > 0 {
		out = append(out, middleware.InFlight{Key: middleware.Key{By: "client"}, Most: most})
	}
	for _, key := range []string{"limit-whitelist", "limit-allowlist"} {
		if n.has(key) {
			n.bad(key, "is not served, limits hold for everybody: leave it out")
		}
	}
	return out
}

// nginxLimit reads a number that bounds something. One that cannot be read closes
// the rules.
func (n notes) nginxLimit(key string, otherwise int) (int, bool) {
	if !n.has(key) {
		return otherwise, true
	}
	i, err := strconv.Atoi(n.text(key))
	if err != nil || i < 0 || i > 1e6 {
		n.refuse(key, "%q is no number from 0 to 1000000: correct it", n.text(key))
		return 0, false
	}
	return i, true
}

var nginxSize = regexp.MustCompile(`^(?i)([0-9]{1,12})([bkmg]?)$`)

// nginxBody reads proxy-body-size and proxy-request-buffering.
func (n notes) nginxBody() []route.Step {
	b := middleware.Buffering{Whole: n.text("proxy-request-buffering") == "on"}
	if n.has("proxy-body-size") {
		m := nginxSize.FindStringSubmatch(n.text("proxy-body-size"))
		if m == nil {
			n.bad("proxy-body-size", "%q is no size, bodies are not bounded: write one such as 8m", n.text("proxy-body-size"))
		} else {
			size, _ := strconv.ParseInt(m[1], 10, 64)
			b.RequestMost = size << map[string]int{"": 0, "b": 0, "k": 10, "m": 20, "g": 30}[strings.ToLower(m[2])]
		}
	}
	if b == (middleware.Buffering{}) {
		return nil
	}
	return []route.Step{b}
}

// nginxCORS reads enable-cors and what belongs to it.
func (n notes) nginxCORS() []route.Step {
	if !n.flag("enable-cors", false) {
		return nil
	}
	c := middleware.CORS{
		Origins:     nil,
		Methods:     n.nginxTokens("cors-allow-methods", "GET, PUT, POST, DELETE, PATCH, OPTIONS"),
		Headers:     n.nginxTokens("cors-allow-headers", "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"),
		Expose:      n.nginxTokens("cors-expose-headers", ""),
		Credentials: n.flag("cors-allow-credentials", true),
		MaxAge:      time.Duration(n.number("cors-max-age", 1728000, 0, 1<<31)) * time.Second,
	}
	for _, o := range n.list("cors-allow-origin") {
		o = strings.ToLower(o)
		if scheme, host, ok := strings.Cut(o, "://"); o != "*" && o != "null" && (!ok || !value.Token(scheme) || host == "" ||
			strings.ContainsAny(strings.TrimPrefix(host, "*."), "*/?# ")) {
			n.bad("cors-allow-origin", "%q is no origin, it is left out: write one such as https://example.com, https://*.example.com or *", o)
			continue
		}
		c.Origins = append(c.Origins, o)
	}
	if !n.has("cors-allow-origin") {
		c.Origins = []string{"*"}
	}
	return []route.Step{c}
}

// nginxTokens reads a list of names, without what is none.
func (n notes) nginxTokens(key, otherwise string) []string {
	list := n.list(key)
	if !n.has(key) {
		list = strings.Split(strings.ReplaceAll(otherwise, " ", ""), ",")
	}
	var out []string
	for _, name := range list {
		if value.Token(name) || name == "*" {
			out = append(out, name)
		} else if name != "" {
			n.bad(key, "%q is no name, it is left out: correct it", name)
		}
	}
	return out
}

// nginxErrorPages reads custom-http-errors and default-backend, whose Service has
// the pages.
func (n notes) nginxErrorPages() func(route.Backend) []route.Step {
	none := func(route.Backend) []route.Step { return nil }
	name := n.text("default-backend")
	if !n.has("custom-http-errors") || n.flag("disable-proxy-intercept-errors", false) {
		if name != "" {
			n.bad("default-backend", "stands without custom-http-errors, and is left out: add those, such as 503 for where there is no endpoint")
		}
		return none
	}
	if name == "" {
		n.bad("custom-http-errors", "stands without default-backend, the Service with the pages, and is left out: add it")
		return none
	}
	b := route.Backend{Namespace: n.o.Namespace, Service: name}
	service := n.t.service(b)
	if service == nil || len(service.Spec.Ports) == 0 {
		n.bad("default-backend", "there is no Service %s/%s with a port, errors have no pages: create it", n.o.Namespace, name)
		return none
	}
	b.Port = strconv.Itoa(int(service.Spec.Ports[0].Port))
	var statuses []middleware.Statuses
	for _, s := range n.list("custom-http-errors") {
		r, err := middleware.ParseStatuses(s)
		if err != nil {
			n.bad("custom-http-errors", "%v, it is left out: correct it", err)
			continue
		}
		statuses = append(statuses, r)
	}
	if len(statuses) == 0 {
		return none
	}
	return func(of route.Backend) []route.Step {
		return []route.Step{middleware.ErrorPages{Statuses: statuses, Backend: b, Nginx: true, Headers: []middleware.Field{
			{Name: "X-Namespace", Value: n.o.Namespace},
			{Name: "X-Ingress-Name", Value: n.o.Name},
			{Name: "X-Service-Name", Value: of.Service},
			{Name: "X-Service-Port", Value: of.Port},
		}}}
	}
}

// nginxFields reads upstream-vhost and x-forwarded-prefix.
func (n notes) nginxFields() []route.Step {
	var h middleware.Headers
	if host := n.text("upstream-vhost"); host != "" {
		if strings.ContainsAny(host, "$ ") || !httpguts.ValidHostHeader(host) {
			n.bad("upstream-vhost", "%q is no host, endpoints get the client's: correct it", host)
		} else {
			h.Request.Set.Set("Host", host)
		}
	}
	if prefix := n.line("x-forwarded-prefix"); prefix != "" {
		h.Request.Set.Set("X-Forwarded-Prefix", prefix)
	}
	if len(h.Request.Set) == 0 {
		return nil
	}
	return []route.Step{h}
}

// nginxRestore reads proxy-cookie-domain, proxy-cookie-path, proxy-redirect-from
// and proxy-redirect-to.
func (n notes) nginxRestore() []route.Step {
	var p middleware.Respell
	pair := func(key string) middleware.Spelling {
		text := n.text(key)
		if text == "" || text == "off" {
			return middleware.Spelling{}
		}
		f := strings.Fields(text)
		if len(f) != 2 || strings.ContainsAny(text, "$~") {
			n.bad(key, "%q is no pair of fixed texts, it is left out: write what is replaced and by what, such as \"/ /app/\"", text)
			return middleware.Spelling{}
		}
		return middleware.Spelling{From: f[0], To: f[1]}
	}
	p.CookieDomain = pair("proxy-cookie-domain")
	p.CookiePath = pair("proxy-cookie-path")
	from, to := n.text("proxy-redirect-from"), n.text("proxy-redirect-to")
	switch {
	case from == "" || from == "off" || from == "default" && to == "":
	case from == "default" || to == "" || strings.ContainsAny(from+to, "$~ "):
		n.bad("proxy-redirect-from", "%q and proxy-redirect-to %q are not two fixed texts, they are left out: write how a Location begins and what replaces that", from, to)
	default:
		p.Location = middleware.Spelling{From: from, To: to}
	}
	if p == (middleware.Respell{}) {
		return nil
	}
	return []route.Step{p}
}
