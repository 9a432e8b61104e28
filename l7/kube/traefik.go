package kube

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// The prefixes of Traefik 1.7's annotations, from the one that counts first.
const (
	traefikPlain = "ingress.kubernetes.io/"
	traefikOwn   = "traefik.ingress.kubernetes.io/"
)

// traefikKeys are all of Traefik 1.7's keys, and two of portico's own beside
// them.
const traefikKeys = " " +
	"app-root auth-header-field auth-realm auth-remove-header auth-response-headers auth-secret auth-tls-insecure " +
	"auth-tls-secret auth-trust-headers auth-type auth-url error-pages frontend-entry-points pass-client-tls-cert " +
	"pass-tls-cert preserve-host priority protocol rate-limit redirect-entry-point redirect-permanent redirect-regex " +
	"redirect-replacement request-modifier rewrite-target rule-type service-weights whitelist-source-range " +
	"whitelist-x-forwarded-for " +
	"allowed-hosts browser-xss-filter content-security-policy content-type-nosniff custom-browser-xss-value " +
	"custom-frame-options-value custom-request-headers custom-response-headers force-hsts frame-deny " +
	"hsts-include-subdomains hsts-max-age hsts-preload is-development proxy-headers public-key referrer-policy " +
	"ssl-force-host ssl-host ssl-proxy-headers ssl-redirect ssl-temporary-redirect " +
	"affinity buffering circuit-breaker-expression load-balancer-method max-conn-amount max-conn-extractor-func " +
	"responseforwarding-flushinterval session-cookie-name session-http-only session-same-site session-secure "

// traefikKey returns the key of an annotation, by its prefix or by the name that
// it had as a label before.
func traefikKey(name string) (key string, rank int) {
	if key, ok := strings.CutPrefix(name, traefikPlain); ok {
		return key, 0
	}
	if key, ok := strings.CutPrefix(name, traefikOwn); ok {
		return key, 1
	}
	switch name {
	case "traefik.frontend.passHostHeader":
		return "preserve-host", 2
	case "traefik.frontend.passTLSCert":
		return "pass-tls-cert", 2
	case "traefik.frontend.entryPoints":
		return "frontend-entry-points", 2
	case "traefik.frontend.priority":
		return "priority", 2
	case "traefik.frontend.rule.type":
		return "rule-type", 2
	case "traefik.frontend.redirect.entryPoint":
		return "redirect-entry-point", 2
	case "traefik.frontend.redirect.regex":
		return "redirect-regex", 2
	case "traefik.frontend.redirect.replacement":
		return "redirect-replacement", 2
	case "traefik.backend.circuitbreaker":
		return "circuit-breaker-expression", 2
	case "traefik.backend.loadbalancer.method":
		return "load-balancer-method", 2
	case "traefik.backend.loadbalancer.stickiness":
		return "affinity", 2
	case "traefik.backend.loadbalancer.stickiness.cookieName":
		return "session-cookie-name", 2
	case "traefik.backend.loadbalancer.sticky":
		return "sticky", 2
	case PrefixSlashAnnotation:
		return "redirect-to-slash", 2
	case PrefixRestoreAnnotation:
		return "restore-prefix", 2
	}
	return "", 0
}

// Annotations of portico's own for Ingresses whose rule-type takes a prefix
// away.
const (
	// PrefixSlashAnnotation is "true" to have who asks for /app sent to /app/,
	// so that the relative links of an application that believes to be at /
	// lead into it.
	PrefixSlashAnnotation = "portico.io/redirect-to-slash"
	// PrefixRestoreAnnotation is "true" to have the prefix put back into the
	// redirects and the cookies of such an application.
	PrefixRestoreAnnotation = "portico.io/restore-prefix"
)

// traefik17 reads Ingresses as Traefik 1.7 does, but for what is a trap there:
// paths of type Prefix and Exact keep the API's meaning, a host is preferred to
// a wildcard, only Ingresses of one namespace share a rule, a default backend
// is protected as the other rules are, and what protects and cannot be
// understood answers 503 rather than being left out.
type traefik17 struct {
	services few[serviceName, *traefikService]
	known    spares[traefikService]
	groups   few[traefikPlace, *traefikGroup]
	order    spares[traefikGroup]
	readers  spares[traefikIngress]
	weighing []*traefikIngress // those with service-weights
	exact    []int             // Specs of rule-type Path, by their place in the Result
}

func (d *traefik17) begin() {
	d.services.clear()
	d.known.clear()
	d.groups.clear()
	d.order.clear()
	d.readers.clear()
	d.weighing, d.exact = nil, nil
}

// A traefikIngress reads the rules of one Ingress.
type traefikIngress struct {
	notes
	d *traefik17
	// entrypoints serve it, nil for the default ones; priority is above 0 where
	// one is asked for.
	entrypoints []string
	priority    int
	path        traefikPath
	redirect    traefikRedirect
	protocol    route.Protocol // 0 where it does not say one
	hostless    bool           // endpoints do not get the client's Host
	// The steps that depend on the path alone stand before first, redirects
	// behind it, and those of the Service between middle and last.
	first, middle, last []route.Step
	// protected is whether a rule that it shares with an older Ingress must not
	// be served by that one's annotations alone.
	protected bool
	weights   map[string]float64 // by Service, in percent; nil without
	backends  []string           // Services of its rules, where there are weights
}

func (d *traefik17) ingress(t *translation, o *object) ruleReader {
	n := newNotes(t, o, traefikKey)
	for _, name := range sortedKeys(o.Annotations) {
		if key, rank := traefikKey(name); key != "" && rank < 2 && !strings.Contains(traefikKeys, " "+key+" ") {
			t.tell(o.String(), annotation(name), "is no annotation of Traefik 1.7, and is passed over: correct its name")
		}
	}
	i := d.readers.next()
	*i = traefikIngress{notes: n, d: d}
	if len(n.found) == 0 {
		return i
	}
	if list := n.list("frontend-entry-points"); len(list) > 0 {
		i.entrypoints = list
		for _, name := range list {
			if !slices.ContainsFunc(t.opt.Entrypoints, func(e Entrypoint) bool { return e.Name == name }) {
				n.bad("frontend-entry-points", "%q is no entrypoint, nobody comes in there: name one of the configuration's", name)
			}
		}
	}
	i.priority = int(n.number("priority", 0, -1<<31, 1<<31-1))
	i.path = n.traefikPath()
	i.redirect = n.traefikRedirect()
	i.protocol = n.traefikProtocol()
	i.hostless = !n.flag("preserve-host", true)
	i.first = slices.Concat(n.traefikErrorPages(), n.traefikAllow())
	i.middle = slices.Concat(n.traefikHeaders(), n.traefikSecurity(), n.traefikClientCert(i.servedAt(t)), n.traefikAuth())
	i.last = n.traefikRateLimit()
	i.protected = slices.ContainsFunc(
		[]string{"auth-type", "whitelist-source-range", "allowed-hosts", "rate-limit", "pass-client-tls-cert"}, n.has)
	if i.weights = n.traefikWeights(); i.weights != nil {
		d.weighing = append(d.weighing, i)
	}
	if n.flag("pass-tls-cert", false) {
		n.bad("pass-tls-cert", "is not served, endpoints see no certificate of ours: use pass-client-tls-cert to tell them the client's")
	}
	return i
}

// servedAt are the entrypoints of the Ingress; none are all.
func (i *traefikIngress) servedAt(t *translation) []string {
	if i.entrypoints != nil {
		return i.entrypoints
	}
	return t.opt.DefaultEntrypoints
}

// traefikProtocol is how endpoints are spoken to.
func (n notes) traefikProtocol() route.Protocol {
	switch p := n.text("protocol"); p {
	case "":
		return 0
	case "http":
		return route.HTTP
	case "https":
		return route.HTTPS
	case "h2c":
		return route.H2C
	default:
		n.refuse("protocol", "%q is not spoken: write http, https or h2c", p)
		return 0
	}
}

// rule adds one path.
func (i *traefikIngress) rule(t *translation, r rule) {
	s := r.Spec
	if i.weights != nil {
		i.backends = append(i.backends, r.Backend.Service)
	}
	if i.entrypoints != nil {
		s.Entrypoints = i.entrypoints
	}
	var rewrite []route.Step
	if r.Match != route.Default {
		var ok bool
		if rewrite, ok = i.path.apply(t, r, &s); !ok {
			return
		}
	}
	if i.priority > 0 {
		s.Priority = i.priority
	}
	service := i.d.service(t, r.Backend)
	host := i.host(t, r.Backend)
	s.Backend = i.use(t, r.Backend, service)
	s.Steps = slices.Concat(rewrite, i.first, i.redirect.of(r), host, i.middle, service.steps, i.last)
	if joined := i.d.join(t, i, s, r.Backend); !joined && r.implied && s.Match == route.Exact {
		i.d.exact = append(i.d.exact, len(t.Specs)-1)
	}
}

// use returns the way to use b that the Ingress and the Service ask for.
func (i *traefikIngress) use(t *translation, b route.Backend, s *traefikService) route.Backend {
	if i.protocol == 0 && s.change == nil && !s.https(b.Port) {
		return b // as nearly all are used
	}
	p, as := t.opt.Policy, ""
	if s.change != nil {
		p = s.change(p)
	}
	switch {
	case i.protocol != 0:
		as = i.protocol.String()
		p.Protocol = i.protocol
	case p.Protocol == 0 && s.https(b.Port):
		p.Protocol = route.HTTPS
	}
	if as != "" && p.Protocol == t.opt.Policy.Protocol {
		as = ""
	}
	return t.policy(b, as, p)
}

// host is what endpoints get as Host instead of the client's, where the Ingress
// asks for that. Traefik sends the Pod's address; the Service's name says the
// same of every Pod.
func (i *traefikIngress) host(t *translation, b route.Backend) []route.Step {
	if !i.hostless || b == (route.Backend{}) {
		return nil
	}
	name := b.Service + "." + b.Namespace + ".svc"
	if s := t.service(b); s != nil && s.Spec.Type == corev1.ServiceTypeExternalName {
		name = s.Spec.ExternalName
	}
	if b.Port != "80" && b.Port != "443" && strings.Trim(b.Port, "0123456789") == "" {
		name += ":" + b.Port
	}
	return []route.Step{middleware.Headers{Request: middleware.SetOrRemove(map[string]string{"Host": name})}}
}

// A traefikService is what the annotations of a Service ask for.
type traefikService struct {
	object *corev1.Service                     // nil for one that does not exist
	change func(backend.Policy) backend.Policy // nil where they ask for no other
	steps  []route.Step
}

// https reports whether the port says by its number or its name that HTTPS is
// spoken there. An appProtocol is said by each endpoint, and says more.
func (s *traefikService) https(port string) bool {
	if s.object == nil {
		return false
	}
	p, ok := servicePort(s.object, port)
	return ok && deref(p.AppProtocol, "") == "" && (p.Port == 443 || strings.HasPrefix(p.Name, "https"))
}
