package kube

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// traefikAllow reads whitelist-source-range. With whitelist-x-forwarded-for the
// address is the client's as trusted proxies tell it, not any that somebody has
// written into the field.
func (n notes) traefikAllow() []route.Step {
	list := n.list("whitelist-source-range")
	if len(list) == 0 {
		if n.has("whitelist-source-range") {
			n.refuse("whitelist-source-range", "lists nobody: write networks such as 10.0.0.0/8")
		}
		return nil
	}
	var sources []netip.Prefix
	for _, s := range list {
		p, err := value.Prefix(s)
		if err != nil {
			n.refuse("whitelist-source-range", "%q is no address and no network: write one such as 10.0.0.0/8", s)
			return nil
		}
		sources = append(sources, p)
	}
	peer := !n.flag("whitelist-x-forwarded-for", false)
	return []route.Step{middleware.Allow{Sources: sources, Whose: middleware.Whose{Peer: peer}}}
}

// traefikAuth reads auth-type and what belongs to it.
func (n notes) traefikAuth() []route.Step {
	switch kind := n.text("auth-type"); strings.ToLower(kind) {
	case "":
		for _, key := range []string{"auth-secret", "auth-url"} {
			if n.has(key) {
				n.refuse(key, "stands without auth-type, which says how to ask: add it")
			}
		}
		return nil
	case "basic":
		return n.basicAuth()
	case "digest":
		return n.digestAuth()
	case "forward":
		return n.forwardAuth()
	default:
		n.refuse("auth-type", "%q is no way to ask who somebody is: write basic, digest or forward", kind)
		return nil
	}
}

func (n notes) basicAuth() []route.Step {
	text, ok := n.users()
	if !ok {
		return nil
	}
	users, err := middleware.Htpasswd(text)
	if err == nil && len(users) == 0 {
		err = errNoUsers
	}
	if err != nil {
		n.refuse("auth-secret", "Secret %s: %v: write lines of name:hash, as htpasswd -B does", n.text("auth-secret"), err)
		return nil
	}
	field, ok := n.userHeader()
	if !ok {
		return nil
	}
	return []route.Step{middleware.BasicAuth{
		Users:        users,
		Realm:        n.realm(),
		RemoveHeader: n.flag("auth-remove-header", false),
		UserHeader:   field,
	}}
}

func (n notes) digestAuth() []route.Step {
	text, ok := n.users()
	if !ok {
		return nil
	}
	users, realm, err := middleware.Htdigest(text)
	switch {
	case err == nil && len(users) == 0:
		err = errNoUsers
	case err == nil && n.has("auth-realm") && n.text("auth-realm") != realm:
		err = fmt.Errorf("its realm is %q, that of auth-realm another", realm)
	}
	if err != nil {
		n.refuse("auth-secret", "Secret %s: %v: write lines of name:realm:hash, as htdigest does", n.text("auth-secret"), err)
		return nil
	}
	field, ok := n.userHeader()
	if !ok {
		return nil
	}
	return []route.Step{middleware.DigestAuth{
		Users:        users,
		Realm:        realm,
		RemoveHeader: n.flag("auth-remove-header", false),
		UserHeader:   field,
	}}
}

// userHeader is the field that tells endpoints who asks, "" for none. One that
// cannot be sent would leave them to what clients write.
func (n notes) userHeader() (string, bool) {
	name := n.text("auth-header-field")
	if name != "" && !httpguts.ValidHeaderFieldName(name) {
		n.refuse("auth-header-field", "%q is no name of a field: write letters, digits and hyphens", name)
		return "", false
	}
	return name, true
}

func (n notes) realm() string {
	if r := n.text("auth-realm"); r != "" {
		return r
	}
	return "traefik"
}

var (
	errNoUsers = errors.New("names no user")
	errBrace   = errors.New("a brace has no end")
)

// users returns what stands in the one key of auth-secret.
func (n notes) users() ([]byte, bool) {
	name := n.text("auth-secret")
	if name == "" {
		n.refuse("auth-type", "needs auth-secret, the name of a Secret with users: add it")
		return nil, false
	}
	s := n.t.secret(n.o.Namespace + "/" + name)
	switch {
	case s == nil || len(s.Data) == 0:
		n.refuse("auth-secret", "there is no Secret %s/%s of type Opaque with users and hashes: "+
			"kubectl create secret generic %s -n %s --from-file=auth=FILE", n.o.Namespace, name, name, n.o.Namespace)
		return nil, false
	case len(s.Data) != 1:
		n.refuse("auth-secret", "Secret %s/%s has %d keys with users: leave one of them", n.o.Namespace, name, len(s.Data))
		return nil, false
	}
	for _, text := range s.Data {
		return text, true
	}
	return nil, false
}

func (n notes) forwardAuth() []route.Step {
	field, ok := n.userHeader()
	if !ok {
		return nil
	}
	f := middleware.ForwardAuth{
		URL:             n.text("auth-url"),
		TrustHeader:     n.flag("auth-trust-headers", false),
		ResponseHeaders: n.list("auth-response-headers"),
		UserHeader:      field,
	}
	if f.URL == "" {
		n.refuse("auth-type", "needs auth-url, whom to ask: add it")
		return nil
	}
	f.Backend, _ = middleware.ServiceURL(f.URL)
	f.TLS.Insecure = n.flag("auth-tls-insecure", false)
	if name := n.text("auth-tls-secret"); name != "" {
		s := n.t.secret(n.o.Namespace + "/" + name)
		if s == nil {
			n.refuse("auth-tls-secret", "there is no Secret %s/%s with tls.crt and tls.key: "+
				"kubectl create secret tls %s -n %s --cert=FILE --key=FILE", n.o.Namespace, name, name, n.o.Namespace)
			return nil
		}
		f.TLS.Certificate, f.TLS.Key = s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]
	}
	if err := f.Check(); err != nil {
		n.refuse("auth-url", "%v", err)
		return nil
	}
	if slices.Contains(f.ResponseHeaders, f.UserHeader) || f.UserHeader == "" {
		return []route.Step{f}
	}
	f.ResponseHeaders = append(f.ResponseHeaders, f.UserHeader)
	return []route.Step{f}
}

// traefikName chooses the attributes of a distinguished name.
type traefikName struct {
	DomainComponent bool `json:"domaincomponent"`
	Country         bool `json:"country"`
	Province        bool `json:"province"`
	Locality        bool `json:"locality"`
	Organization    bool `json:"organization"`
	CommonName      bool `json:"commonname"`
	SerialNumber    bool `json:"serialnumber"`
}

// traefikClientCert reads pass-client-tls-cert. Without it a client could write
// the fields itself that endpoints believe. The Ingress is served at entrypoints.
func (n notes) traefikClientCert(entrypoints []string) []route.Step {
	if !n.has("pass-client-tls-cert") {
		return nil
	}
	var pass struct {
		PEM   bool `json:"pem"`
		Infos struct {
			NotBefore bool        `json:"notbefore"`
			NotAfter  bool        `json:"notafter"`
			SANs      bool        `json:"sans"`
			Subject   traefikName `json:"subject"`
			Issuer    traefikName `json:"issuer"`
		} `json:"infos"`
	}
	if err := n.yaml("pass-client-tls-cert", &pass); err != nil {
		n.refuse("pass-client-tls-cert", "%v: write pem, and infos with notbefore, notafter, sans, subject and issuer", err)
		return nil
	}
	n.unasked("pass-client-tls-cert", entrypoints)
	return []route.Step{middleware.ClientCertificate{
		PEM:       pass.PEM,
		NotBefore: pass.Infos.NotBefore,
		NotAfter:  pass.Infos.NotAfter,
		SANs:      pass.Infos.SANs,
		Subject:   middleware.Name(pass.Infos.Subject),
		Issuer:    middleware.Name(pass.Infos.Issuer),
	}}
}
