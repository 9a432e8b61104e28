package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// A nginxPolicy is how the endpoints of an Ingress are used. Ingresses that ask
// for the same share a name for it, and with it the connections.
type nginxPolicy []nginxChange

// A nginxChange is one part of it, by what people call it.
type nginxChange struct {
	name   string
	sticky bool // it binds clients to endpoints
	change func(*backend.Policy)
}

func (p *nginxPolicy) add(change func(*backend.Policy), format string, args ...any) {
	*p = append(*p, nginxChange{name: strings.TrimSpace(fmt.Sprintf(format, args...)), change: change})
}

// use returns b as it is used by p.
func (p nginxPolicy) use(t *translation, b route.Backend) route.Backend {
	if len(p) == 0 {
		return b
	}
	out, names := t.opt.Policy, make([]string, len(p))
	for i, c := range p {
		c.change(&out)
		names[i] = c.name
	}
	return t.policy(b, strings.Join(names, ", "), out)
}

// nginxPolicy reads all annotations that are about endpoints.
func (n notes) nginxPolicy() nginxPolicy {
	var p nginxPolicy
	n.nginxProtocol(&p)
	n.nginxTimeouts(&p)
	n.nginxSticky(&p)
	n.nginxBalance(&p)
	n.nginxRetries(&p)
	return p
}

// nginxProtocol reads backend-protocol and proxy-ssl-*. As in nginx, endpoints'
// certificates are not looked at unless that is asked for here, or by the
// configuration for all.
func (n notes) nginxProtocol(policy *nginxPolicy) {
	var p route.Protocol
	switch s := strings.ToUpper(n.text("backend-protocol")); s {
	case "", "AUTO_HTTP":
	case "HTTP":
		p = route.HTTP
	case "HTTPS":
		p = route.HTTPS
	case "GRPC":
		p = route.H2C
	case "GRPCS":
		p = route.H2
	default:
		n.refuse("backend-protocol", "%q is not spoken: write HTTP, HTTPS, GRPC or GRPCS", s)
		return
	}
	if p != 0 {
		policy.add(func(b *backend.Policy) { b.Protocol = p }, "%s", p)
	}
	name := n.text("proxy-ssl-name")
	if name != "" && !httpguts.ValidHostHeader(name) {
		n.bad("proxy-ssl-name", "%q is no host name, it is left out: correct it", name)
		name = ""
	}
	if n.text("proxy-ssl-verify") != "on" {
		if p.TLS() {
			policy.add(func(b *backend.Policy) {
				if b.TLS.CA == "" && b.TLS.ServerName == "" {
					b.TLS.Insecure, b.TLS.ServerName = true, name
				}
			}, "unverified %s", name)
		}
		return
	}
	ca, signer := "", "the system's"
	if n.has("proxy-ssl-secret") {
		s := n.nginxSecret("proxy-ssl-secret", "proxy-ssl-verify", "--from-file=ca.crt=FILE")
		if s == nil {
			return
		}
		signer = s.Namespace + "/" + s.Name
		if ca = string(s.Data["ca.crt"]); (middleware.ClientCA{CA: ca}).Check() != nil {
			n.refuse("proxy-ssl-secret", "Secret %s/%s has no ca.crt with a certificate as PEM: add it", s.Namespace, s.Name)
		}
		if len(s.Data["tls.key"]) > 0 {
			n.bad("proxy-ssl-secret", "endpoints are shown no certificate of ours: have them do without, or use a ca.crt alone")
		}
	}
	policy.add(func(b *backend.Policy) { b.TLS = backend.TLS{CA: ca, ServerName: name} },
		"verified by %s %s", signer, name)
}

// nginxTimeouts reads proxy-connect-timeout, proxy-read-timeout and
// proxy-send-timeout. An endpoint that neither reads nor sends is one that does
// not send: the longer one of the two counts.
func (n notes) nginxTimeouts(policy *nginxPolicy) {
	seconds := func(key string) time.Duration {
		return time.Duration(n.number(key, 0, 1, 7*24*3600)) * time.Second
	}
	if d := seconds("proxy-connect-timeout"); d > 0 {
		policy.add(func(b *backend.Policy) { b.Timeouts.Dial = d }, "connect %v", d)
	}
	if d := max(seconds("proxy-read-timeout"), seconds("proxy-send-timeout")); d > 0 {
		policy.add(func(b *backend.Policy) { b.Timeouts.Response = d }, "read %v", d)
	}
}

// nginxSticky reads affinity and session-cookie-*.
func (n notes) nginxSticky(policy *nginxPolicy) {
	switch kind := n.text("affinity"); kind {
	case "":
		return
	case "cookie":
	default:
		n.bad("affinity", "%q binds nobody: write cookie", kind)
		return
	}
	s := backend.Sticky{Cookie: n.text("session-cookie-name"), SameSite: n.nginxSameSite()}
	if s.Cookie == "" {
		s.Cookie = "INGRESSCOOKIE"
	}
	if !httpguts.ValidHeaderFieldName(s.Cookie) || len(s.Cookie) > backend.CookieMost {
		n.bad("session-cookie-name", "%q is no name of a cookie, no client is bound: write letters, digits and hyphens, %d at most", s.Cookie, backend.CookieMost)
		return
	}
	key := "session-cookie-max-age"
	if !n.has(key) {
		key = "session-cookie-expires"
	}
	s.MaxAge = time.Duration(n.number(key, 0, 0, 1<<31)) * time.Second
	if path := n.text("session-cookie-path"); path != "" && path != "/" {
		n.bad("session-cookie-path", "%q is left out, the cookie is for all of the host: remove it", path)
	}
	if n.has("session-cookie-domain") {
		n.bad("session-cookie-domain", "is left out, the cookie is for its host alone: remove it")
	}
	policy.add(func(b *backend.Policy) {
		s.Secret = b.Sticky.Secret
		b.Sticky = s
	}, "cookie %s %v %s", s.Cookie, s.MaxAge, s.SameSite)
	(*policy)[len(*policy)-1].sticky = true
}

func (n notes) nginxSameSite() string {
	switch s := strings.ToLower(n.text("session-cookie-samesite")); s {
	case "":
	case "lax", "strict", "none":
		return strings.ToUpper(s[:1]) + s[1:]
	default:
		n.bad("session-cookie-samesite", "%q is unknown, it is left out: write Lax, Strict or None", s)
	}
	return ""
}

// canaryPolicy is how a canary's endpoints are used: as the others, but that no
// cookie binds clients to them where affinity-canary-behavior says so.
func (i *nginxIngress) canaryPolicy() nginxPolicy {
	if i.text("affinity-canary-behavior") != "legacy" {
		return i.policy
	}
	return slices.DeleteFunc(slices.Clone(i.policy), func(c nginxChange) bool { return c.sticky })
}

// nginxBalance reads upstream-hash-by and load-balance.
func (n notes) nginxBalance(policy *nginxPolicy) {
	if by := n.text("upstream-hash-by"); by != "" {
		key, name, ok := nginxHashKey(by)
		if !ok {
			n.bad("upstream-hash-by", "%q is nothing that endpoints are chosen by, they take turns: write $request_uri, $remote_addr, $http_NAME or $cookie_NAME", by)
			return
		}
		policy.add(func(b *backend.Policy) {
			b.Balance.Strategy, b.Balance.Key, b.Balance.Name = backend.Hash, key, name
		}, "hash by %s", by)
		return
	}
	switch by := n.text("load-balance"); by {
	case "", "round_robin":
	case "ewma":
		policy.add(func(b *backend.Policy) { b.Balance = backend.Balance{Strategy: backend.LeastRequests} }, "least requests")
	default:
		n.bad("load-balance", "%q is unknown, endpoints take turns: write round_robin or ewma", by)
	}
}

// nginxHashKey reads one variable.
func nginxHashKey(by string) (key backend.Key, name string, ok bool) {
	by = strings.NewReplacer("{", "", "}", "").Replace(by)
	switch by {
	case "$request_uri", "$uri":
		return backend.URI, "", true
	case "$remote_addr", "$binary_remote_addr":
		return backend.Source, "", true
	}
	if name, ok := strings.CutPrefix(by, "$http_"); ok {
		name = strings.ReplaceAll(name, "_", "-")
		return backend.Header, name, httpguts.ValidHeaderFieldName(name)
	}
	name, ok = strings.CutPrefix(by, "$cookie_")
	return backend.Cookie, name, ok && httpguts.ValidHeaderFieldName(name)
}

// nginxRetries reads proxy-next-upstream*.
func (n notes) nginxRetries(policy *nginxPolicy) {
	attempts := int(n.number("proxy-next-upstream-tries", 0, 0, 100))
	for _, word := range strings.Fields(n.text("proxy-next-upstream")) {
		switch word {
		case "error", "timeout":
		case "off":
			attempts = 1
		default:
			n.bad("proxy-next-upstream", "%q is left out: what fails in the network is sent again where that is safe, what an endpoint has answered is not", word)
		}
	}
	if n.number("proxy-next-upstream-timeout", 0, 0, 1<<31) > 0 {
		n.bad("proxy-next-upstream-timeout", "is left out: see proxy-next-upstream-tries and proxy-connect-timeout")
	}
	if attempts > 0 {
		policy.add(func(b *backend.Policy) { b.Retries.Attempts = attempts }, "%d tries", attempts)
	}
}

// nginxMirror reads mirror-target, which may be a Service of the same namespace.
func (n notes) nginxMirror() []route.Step {
	target := n.text("mirror-target")
	if target == "" {
		return nil
	}
	to, ok := middleware.ServiceURL(strings.TrimSuffix(target, "$request_uri"))
	if !ok || to.Namespace != n.o.Namespace || n.t.service(to) == nil {
		n.bad("mirror-target", "%q is no Service of namespace %s, nothing is copied: write http://NAME.%s.svc$request_uri", target, n.o.Namespace, n.o.Namespace)
		return nil
	}
	if n.has("mirror-host") {
		n.bad("mirror-host", "is left out, copies have the Host of the request: remove it")
	}
	m := middleware.Mirror{To: to, Percent: 100, Body: middleware.DefaultMirrorBody}
	if n.text("mirror-request-body") == "off" {
		m.Body = 0
	}
	return []route.Step{m}
}
