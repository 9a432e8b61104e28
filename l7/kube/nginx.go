package kube

import (
	"maps"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// nginxPrefix is that of ingress-nginx's annotations.
const nginxPrefix = "nginx.ingress.kubernetes.io/"

// acmePath is where a certificate authority looks (RFC 8555, section 8.3). A rule
// for what is below it is neither redirected nor asks for a password: it could
// not be answered.
const acmePath = "/.well-known/acme-challenge"

// nginxKey returns the key of an annotation.
func nginxKey(name string) (key string, rank int) {
	key, ok := strings.CutPrefix(name, nginxPrefix)
	switch {
	case !ok:
		return "", 0
	case key == "whitelist-source-range":
		return "allowlist-source-range", 1 // its name before
	}
	return key, 0
}

// nginx reads Ingresses as ingress-nginx does, but for what is a trap there: what
// protects and cannot be understood answers 503 rather than being left out,
// nothing is taken from another namespace, and a rule of type Exact or Prefix
// keeps the API's meaning whatever another Ingress asks for its host.
type nginx struct {
	hosts    nginxHosts
	mains    map[nginxPlace]*nginxMain
	canaries []nginxCanaryRule
	aliases  []nginxAlias
}

func (d *nginx) begin() { *d = nginx{mains: make(map[nginxPlace]*nginxMain)} }

// A nginxIngress reads the rules of one Ingress.
type nginxIngress struct {
	notes
	d      *nginx
	path   nginxPath
	canary *nginxCanary // nil for one that is none
	// first are the steps that see all answers, then come redirects, which are
	// for everybody, then guards and asks, and last what changes the request.
	first, redirects, guards, asks, last []route.Step
	toTLS                                func(host string) []route.Step
	pages                                func(route.Backend) []route.Step
	// clientNames says that a client of a rule for any host would choose whom
	// asks asks.
	clientNames bool
	// protected is whether it is worse that one of its rules is missing than
	// that it answers 503.
	protected bool
	www       bool
	policy    nginxPolicy
}

func (d *nginx) ingress(t *translation, o *object) ruleReader {
	if d.hosts.names == nil {
		d.hosts = newNginxHosts(t.ingresses)
	}
	n := newNotes(t, o, nginxKey)
	n.nginxUnknown()
	if n.flag("canary", false) {
		c := n.nginxCanary()
		return &nginxIngress{notes: n, d: d, canary: &c}
	}
	i := &nginxIngress{notes: n, d: d}
	i.toTLS = n.nginxToTLS()
	i.pages = func(route.Backend) []route.Step { return nil }
	if len(n.found) == 0 {
		return i
	}
	n.nginxSnippets()
	i.path = n.nginxPath()
	i.first = n.nginxCORS()
	i.pages = n.nginxErrorPages()
	i.redirects = n.nginxRedirects()
	i.www = n.flag("from-to-www-redirect", false)
	i.guards = slices.Concat(n.nginxAllow(), n.nginxLimits(), n.nginxClientCA())
	i.asks = slices.Concat(n.nginxAuth(), n.nginxAuthURL())
	i.last = slices.Concat(n.nginxBody(), n.nginxFields(), n.nginxRestore(), n.nginxMirror())
	i.protected = len(i.guards)+len(i.asks) > 0 || t.refused
	for _, s := range i.asks {
		if f, ok := s.(middleware.ForwardAuth); ok {
			i.clientNames = f.ClientNames()
		}
	}
	i.policy = n.nginxPolicy()
	d.aliases = append(d.aliases, n.nginxAliases(&d.hosts)...)
	return i
}

// rule adds one path.
func (i *nginxIngress) rule(t *translation, r rule) {
	if i.canary != nil {
		i.d.canaries = append(i.d.canaries, nginxCanaryRule{r, *i.canary})
		return
	}
	s := r.Spec
	rewrite, ok := i.pathOf(t, r, &s)
	if !ok {
		return
	}
	s.Backend = i.policy.use(t, r.Backend)
	acme := forChallenges(r)
	s.Steps = slices.Concat(i.first, i.pages(r.Backend), i.redirects)
	if !acme {
		s.Steps = slices.Concat(s.Steps, i.toTLS(r.Host))
	}
	s.Steps = append(s.Steps, i.guards...)
	if !acme {
		s.Steps = append(s.Steps, i.asks...)
	}
	s.Steps = slices.Concat(s.Steps, i.last, rewrite)
	if i.clientNames && r.Host == "" && s.Backend != (route.Backend{}) {
		t.problem(annotation(i.found["auth-url"].name), "would let clients of a rule without a host choose who is asked about them, the rule answers 503: write a host into %s or into the URL", r.field)
		s.Backend, s.Steps = route.Backend{}, nil
	}
	if len(s.Steps) == 0 {
		s.Steps = nil
	}
	place := nginxPlaceOf(r)
	if i.d.mains[place] == nil {
		i.d.mains[place] = &nginxMain{spec: len(t.Specs), policy: i.canaryPolicy()}
	}
	t.add(s)
	if i.www {
		i.d.toWWW(t, s)
	}
}

// forChallenges reports whether a rule is for those of a certificate authority
// alone.
func forChallenges(r rule) bool {
	rest, ok := strings.CutPrefix(r.Path, acmePath)
	return ok && (rest == "" || rest[0] == '/') && !strings.ContainsAny(r.written, nginxMeta)
}

// finish has canaries take their part, and adds other names of hosts.
func (d *nginx) finish(t *translation) {
	for _, c := range d.canaries {
		d.join(t, c)
	}
	d.copyAliases(t)
}

// nginxKeys are all keys that are read.
const nginxKeys = " " +
	"affinity affinity-canary-behavior allowlist-source-range app-root auth-method auth-proxy-set-headers auth-realm " +
	"auth-request-redirect auth-response-headers auth-secret auth-secret-type auth-signin auth-signin-redirect-param " +
	"auth-snippet auth-tls-error-page auth-tls-match-cn auth-tls-pass-certificate-to-upstream auth-tls-secret " +
	"auth-tls-verify-client auth-tls-verify-depth auth-type auth-url backend-protocol canary canary-by-cookie " +
	"canary-by-header canary-by-header-pattern canary-by-header-value canary-weight canary-weight-total " +
	"configuration-snippet connection-proxy-header cors-allow-credentials cors-allow-headers cors-allow-methods " +
	"cors-allow-origin cors-expose-headers cors-max-age custom-headers custom-http-errors default-backend " +
	"denylist-source-range disable-proxy-intercept-errors enable-cors enable-modsecurity force-ssl-redirect " +
	"from-to-www-redirect global-rate-limit limit-allowlist limit-burst-multiplier limit-connections limit-rate " +
	"limit-rate-after limit-rpm limit-rps limit-whitelist load-balance mirror-host mirror-request-body mirror-target " +
	"modsecurity-snippet permanent-redirect permanent-redirect-code proxy-body-size proxy-connect-timeout " +
	"proxy-cookie-domain proxy-cookie-path proxy-next-upstream proxy-next-upstream-timeout proxy-next-upstream-tries " +
	"proxy-read-timeout proxy-redirect-from proxy-redirect-to proxy-request-buffering proxy-send-timeout " +
	"proxy-ssl-ciphers proxy-ssl-name proxy-ssl-protocols proxy-ssl-secret proxy-ssl-verify rewrite-target satisfy " +
	"server-alias server-snippet session-cookie-domain session-cookie-expires session-cookie-max-age " +
	"session-cookie-name session-cookie-path session-cookie-samesite ssl-ciphers ssl-passthrough ssl-redirect " +
	"stream-snippet temporal-redirect temporal-redirect-code upstream-hash-by upstream-vhost use-regex " +
	"x-forwarded-prefix "

// nginxNeedless are the keys that ask for what is so anyhow, or for what nginx
// alone has.
const nginxNeedless = " " +
	"affinity-mode auth-always-set-cookie auth-cache-duration auth-cache-key auth-keepalive auth-keepalive-requests " +
	"auth-keepalive-share-vars auth-keepalive-timeout client-body-buffer-size enable-access-log enable-global-auth " +
	"enable-opentelemetry enable-opentracing enable-rewrite-log http2-push-preload influxdb-host influxdb-measurement " +
	"influxdb-port influxdb-server-name enable-influxdb opentelemetry-operation-name " +
	"opentelemetry-trust-incoming-span opentracing-trust-incoming-span preserve-trailing-slash proxy-buffer-size " +
	"proxy-buffering proxy-buffers-number proxy-busy-buffers-size proxy-http-version proxy-max-temp-file-size " +
	"proxy-ssl-server-name proxy-ssl-verify-depth relative-redirects service-upstream " +
	"session-cookie-change-on-failure session-cookie-conditional-samesite-none session-cookie-hash " +
	"session-cookie-secure ssl-prefer-server-ciphers upstream-hash-by-subset upstream-hash-by-subset-size " +
	"use-port-in-redirects enable-owasp-core-rules modsecurity-transaction-id "

// nginxUnknown tells of the keys that nobody knows.
func (n notes) nginxUnknown() {
	for _, key := range slices.Sorted(maps.Keys(n.found)) {
		if !strings.Contains(nginxKeys, " "+key+" ") && !strings.Contains(nginxNeedless, " "+key+" ") {
			n.bad(key, "is no annotation of ingress-nginx that is known, and is passed over: correct its name")
		}
	}
}
