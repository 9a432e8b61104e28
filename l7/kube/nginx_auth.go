package kube

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// nginxAllow reads allowlist-source-range and denylist-source-range. The address
// is the client's, as trusted proxies tell it.
func (n notes) nginxAllow() []route.Step {
	var a middleware.Allow
	for _, list := range []struct {
		key string
		to  *[]netip.Prefix
	}{{"allowlist-source-range", &a.Sources}, {"denylist-source-range", &a.Denied}} {
		for _, s := range n.list(list.key) {
			p, err := value.Prefix(s)
			if err != nil {
				n.refuse(list.key, "%q is no address and no network: write one such as 10.0.0.0/8", s)
				return nil
			}
			*list.to = append(*list.to, p)
		}
		if n.has(list.key) && len(*list.to) == 0 {
			n.refuse(list.key, "lists nobody: write networks such as 10.0.0.0/8")
			return nil
		}
	}
	if len(a.Sources)+len(a.Denied) == 0 {
		return nil
	}
	return []route.Step{a}
}

// nginxAuth reads auth-type and what belongs to it.
func (n notes) nginxAuth() []route.Step {
	if n.text("satisfy") == "any" {
		n.bad("satisfy", "\"any\" is not served: who may pass by address has to sign in as well")
	}
	kind := strings.ToLower(n.text("auth-type"))
	switch kind {
	case "":
		if n.has("auth-secret") {
			n.refuse("auth-secret", "stands without auth-type, which says how to ask: add it")
		}
		return nil
	case "basic", "digest":
	default:
		n.refuse("auth-type", "%q is no way to ask who somebody is: write basic or digest", n.text("auth-type"))
		return nil
	}
	s := n.nginxSecret("auth-secret", "auth-type", "--from-file=auth=FILE")
	if s == nil {
		return nil
	}
	text, err := n.nginxUsers(s)
	if err == nil && kind == "basic" {
		var users map[string]string
		if users, err = middleware.Htpasswd(text); err == nil && len(users) > 0 {
			realm := n.text("auth-realm")
			if realm == "" {
				realm = "Authentication Required"
			}
			return []route.Step{middleware.BasicAuth{Users: users, Realm: realm}}
		}
	} else if err == nil {
		var users map[string]string
		var realm string
		users, realm, err = middleware.Htdigest(text)
		switch {
		case err != nil || len(users) == 0:
		case n.has("auth-realm") && n.text("auth-realm") != realm:
			err = fmt.Errorf("its realm is %q, that of auth-realm another", realm)
		default:
			return []route.Step{middleware.DigestAuth{Users: users, Realm: realm}}
		}
	}
	if err == nil {
		err = errNoUsers
	}
	n.refuse("auth-secret", "Secret %s/%s: %v: correct it", s.Namespace, s.Name, err)
	return nil
}

// nginxUsers returns lines of users and hashes: those of the key auth, or made of
// all keys where each is a user.
func (n notes) nginxUsers(s *corev1.Secret) ([]byte, error) {
	switch kind := n.text("auth-secret-type"); kind {
	case "", "auth-file":
		text, ok := s.Data["auth"]
		if !ok {
			return nil, errors.New("has no key auth with lines of name:hash")
		}
		return text, nil
	case "auth-map":
		var b strings.Builder
		for user, hash := range s.Data {
			b.WriteString(user + ":" + strings.TrimSpace(string(hash)) + "\n")
		}
		return []byte(b.String()), nil
	default:
		return nil, fmt.Errorf("auth-secret-type %q is neither auth-file nor auth-map", kind)
	}
}

// nginxSecret returns the Secret that key names, which is to be in the Ingress's
// own namespace. Without one the rules answer 503, and it returns nil: key is
// missing beside what asks for it, or leads to nothing. from is what kubectl makes
// one of.
func (n notes) nginxSecret(key, asks, from string) *corev1.Secret {
	name := n.text(key)
	if name == "" {
		n.refuse(asks, "needs %s, the name of a Secret: add it", key)
		return nil
	}
	namespace, bare, ok := strings.Cut(name, "/")
	if !ok {
		namespace, bare = n.o.Namespace, name
	}
	if namespace != n.o.Namespace {
		n.refuse(key, "Secret %s is of another namespace, which nothing is taken from: copy it to %s", name, n.o.Namespace)
		return nil
	}
	s := n.t.secret(namespace + "/" + bare)
	if s == nil || len(s.Data) == 0 {
		n.refuse(key, "Secret %s/%s does not exist, or holds nothing of use here: kubectl create secret generic %s -n %s %s", namespace, bare, bare, namespace, from)
		return nil
	}
	return s
}

// nginxAuthURL reads auth-url and what belongs to it.
func (n notes) nginxAuthURL() []route.Step {
	raw := n.text("auth-url")
	if raw == "" {
		for _, key := range []string{"auth-signin", "auth-response-headers", "auth-method"} {
			if n.has(key) {
				n.refuse(key, "stands without auth-url, whom to ask: add it")
			}
		}
		return nil
	}
	if n.has("auth-proxy-set-headers") {
		n.refuse("auth-proxy-set-headers", "is not served, ConfigMaps are not read: have the service do without, or write a [[l7.middleware]] with forward_auth")
		return nil
	}
	if n.has("auth-request-redirect") {
		n.bad("auth-request-redirect", "is not served, the service is told path and query: leave it out")
	}
	f := middleware.ForwardAuth{
		URL:             raw,
		Nginx:           true,
		Method:          n.text("auth-method"),
		ResponseHeaders: n.list("auth-response-headers"),
		SignIn:          n.nginxSignIn(),
		PassCookies:     true,
	}
	f.Backend, _ = middleware.ServiceURL(raw)
	if err := f.Check(); err != nil {
		n.refuse("auth-url", "%v", err)
		return nil
	}
	return []route.Step{f}
}

// nginxSignIn returns the URL at which one signs in. It is told where the client
// wants to go then, unless it says that itself.
func (n notes) nginxSignIn() string {
	to := n.text("auth-signin")
	if to == "" {
		return ""
	}
	name := n.text("auth-signin-redirect-param")
	if name == "" {
		name = "rd"
	}
	_, query, ok := strings.Cut(to, "?")
	if values, err := url.ParseQuery(query); err == nil && values.Has(name) {
		return to
	}
	separator := "?"
	if ok {
		separator = "&"
	}
	return to + separator + url.QueryEscape(name) + "=$pass_access_scheme://$http_host$escaped_request_uri"
}

// nginxClientCA reads auth-tls-secret and what belongs to it.
func (n notes) nginxClientCA() []route.Step {
	verify := n.text("auth-tls-verify-client")
	if !n.has("auth-tls-secret") {
		for _, key := range []string{"auth-tls-verify-client", "auth-tls-match-cn", "auth-tls-pass-certificate-to-upstream"} {
			if n.has(key) && n.text(key) != "off" && n.text(key) != "false" {
				n.refuse(key, "stands without auth-tls-secret, whose certificates sign clients': add it")
			}
		}
		return nil
	}
	if verify == "off" {
		return nil
	}
	s := n.nginxSecret("auth-tls-secret", "auth-tls-secret", "--from-file=ca.crt=FILE")
	if s == nil {
		return nil
	}
	step := middleware.ClientCA{
		CA:       string(s.Data["ca.crt"]),
		Depth:    int(n.number("auth-tls-verify-depth", 1, 0, 100)),
		Name:     n.text("auth-tls-match-cn"),
		Optional: verify == "optional",
		Pass:     n.flag("auth-tls-pass-certificate-to-upstream", false),
	}
	switch err := step.Check(); {
	case verify != "" && verify != "on" && verify != "optional":
		n.refuse("auth-tls-verify-client", "%q is not served: write on or optional", verify)
	case len(s.Data["ca.crl"]) > 0:
		n.refuse("auth-tls-secret", "Secret %s/%s has a ca.crl, and revocation is not looked at: remove that key", s.Namespace, s.Name)
	case err != nil:
		n.refuse("auth-tls-secret", "%v: correct it", err)
	default:
		if n.has("auth-tls-error-page") {
			n.bad("auth-tls-error-page", "is not served, who has no certificate gets 400: leave it out")
		}
		n.unasked("auth-tls-secret", n.t.opt.DefaultEntrypoints)
		return []route.Step{step}
	}
	return nil
}

// unasked tells that no client can have a certificate: none of the entrypoints by
// which the Ingress is served asks for one, those named, or all where none is.
func (n notes) unasked(key string, named []string) {
	var without []string
	for _, e := range n.t.opt.Entrypoints {
		if e.Scheme != "https" || len(named) > 0 && !slices.Contains(named, e.Name) {
			continue
		}
		if e.ClientAuth {
			return
		}
		without = append(without, e.Name)
	}
	if len(without) == 0 {
		n.bad(key, "is of no use, there is no entrypoint with TLS: add one with tls.client_auth")
		return
	}
	n.bad(key, "is of no use, no client is asked for a certificate: set tls.client_auth and tls.client_ca_file of [[l7.entrypoint]] %s", strings.Join(without, " or "))
}

// nginxLines are the fields of a response that a snippet may change without
// taking anything from who is protected by it.
var nginxLines = regexp.MustCompile(`^(add_header|more_set_headers|more_clear_headers|proxy_hide_header|expires|etag|charset|gzip\w*|` +
	`brotli\w*|access_log|error_log|log_not_found|proxy_buffer\w*|client_body_buffer_size|proxy_(connect|read|send)_timeout)$`)

// nginxSnippets tells of snippets. They are nginx's language and not read: one
// that may be there to keep somebody out closes the rules.
func (n notes) nginxSnippets() {
	for _, key := range []string{"configuration-snippet", "server-snippet", "auth-snippet", "stream-snippet", "modsecurity-snippet"} {
		if !n.has(key) {
			continue
		}
		if word := nginxHeavy(n.text(key)); word != "" {
			n.refuse(key, "is not served, and %s may be what keeps somebody out: use an annotation or portico.io/middlewares instead", word)
		} else {
			n.bad(key, "is not served, and is left out: use portico.io/middlewares for what it adds")
		}
	}
	if n.flag("enable-modsecurity", false) {
		n.refuse("enable-modsecurity", "is not served: remove it to do without, or put a firewall before the endpoints")
	}
	if n.has("global-rate-limit") {
		n.refuse("global-rate-limit", "is not served: use limit-rps or limit-rpm, which each edge counts for itself")
	}
	if n.flag("ssl-passthrough", false) {
		n.refuse("ssl-passthrough", "is not served, TLS ends here: remove it, and use backend-protocol HTTPS for endpoints that speak TLS")
	}
	for _, key := range []string{"ssl-ciphers", "proxy-ssl-ciphers", "proxy-ssl-protocols", "connection-proxy-header", "custom-headers", "limit-rate", "limit-rate-after"} {
		if n.has(key) {
			n.bad(key, "is not served, and is left out: see [l7.entrypoint.tls] and [[l7.middleware]] for what there is")
		}
	}
}

// nginxHeavy returns the first directive of a snippet that does more than
// decorate responses, "" without one.
func nginxHeavy(snippet string) string {
	for line := range strings.Lines(snippet) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for statement := range strings.SplitSeq(line, ";") {
			fields := strings.Fields(statement)
			if len(fields) > 0 && !nginxLines.MatchString(fields[0]) {
				return fields[0]
			}
		}
	}
	return ""
}
