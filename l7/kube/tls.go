package kube

import (
	"bytes"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/route"
)

// A CertRequest is a host of an Ingress's tls that names no Secret. It gets a
// certificate by ACME where that is configured, else the default one.
type CertRequest struct {
	// Host is canonical; it may be a wildcard.
	Host string
	// Field is its path in the Ingress, Origin.
	Field  string
	Origin route.Origin
}

// certificates is what the tls of all Ingresses come to.
type certificates struct {
	TLS          []TLS
	CertRequests []CertRequest
	Problems     []Problem
	// owners are those of the hosts that a tls names.
	owners map[string]route.Origin
}

func (c *certificates) equal(o certificates) bool {
	return o.owners != nil && slices.Equal(c.CertRequests, o.CertRequests) && slices.EqualFunc(c.TLS, o.TLS, func(a, b TLS) bool {
		return a.Secret == b.Secret && a.Origin == b.Origin && slices.Equal(a.Hosts, b.Hosts) &&
			bytes.Equal(a.Cert, b.Cert) && bytes.Equal(a.Key, b.Key)
	})
}

// A certifier reads the tls of Ingresses, once it is known whose hosts have
// rules. It costs little beside them, and one change may be about all: a wildcard
// is in many.
type certifier struct {
	translation
	served map[string]servedBy // by host
	part   *part               // of the Ingress that is being read
}

// A servedBy is who has a host's certificate.
type servedBy struct {
	secret string
	origin route.Origin
}

// readCertificates reads the tls of all Ingresses, the oldest one first.
func (t *Translator) readCertificates() certificates {
	var all []*entry
	for _, e := range t.entries {
		if len(e.Spec.TLS) > 0 {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, compareAge)
	c := certifier{
		translation: translation{opt: t.opt, of: t, owners: make(map[string]route.Origin, len(t.tls.owners))},
		served:      make(map[string]servedBy, len(t.tls.owners)),
	}
	c.TLS = make([]TLS, 0, len(t.tls.TLS)+1)
	for _, e := range all {
		c.origin, c.part = originOf(e.Ingress), e.part
		for i, entry := range e.Spec.TLS {
			c.tls("spec.tls["+strconv.Itoa(i)+"]", entry)
		}
	}
	return certificates{c.TLS, c.CertRequests, c.Problems, c.owners}
}

// owns is that of a translation. Who has a rule for a host has it first.
func (t *certifier) owns(field, host string) bool {
	if p := t.of.byHost[host]; p != nil {
		if owner, ok := p.owners[host]; ok {
			t.owners[host] = owner
		}
	}
	if c := (claim{t.origin, host}); t.part.disowned[c] {
		remember(&t.disowned, c, true)
	}
	return t.translation.owns(field, host)
}

// tls reads one entry of an Ingress's tls. One with neither Secret nor hosts
// asks for the default certificate. The Secret's type is of no importance: whoever made it
// as Opaque has its two keys there as well.
func (t *certifier) tls(field string, entry netv1.IngressTLS) {
	if entry.SecretName == "" {
		t.requests(field, entry.Hosts)
		return
	}
	name := t.origin.Namespace + "/" + entry.SecretName
	secret := t.of.secrets[name]
	if secret == nil {
		t.problem(field+".secretName", "Secret %s does not exist, clients get the default certificate: "+
			"kubectl create secret tls %s -n %s --cert=FILE --key=FILE", name, entry.SecretName, t.origin.Namespace)
		return
	}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if _, ok := secret.Data[key]; !ok {
			t.problem(field+".secretName", "Secret %s has no %s, clients get the default certificate: add it", name, key)
			return
		}
	}
	out := TLS{
		Secret: name,
		Cert:   secret.Data[corev1.TLSCertKey],
		Key:    secret.Data[corev1.TLSPrivateKeyKey],
		Origin: t.origin,
	}
	for i, h := range entry.Hosts {
		if host, ok := t.tlsHost(field+".hosts["+strconv.Itoa(i)+"]", h, name); ok {
			out.Hosts = append(out.Hosts, host)
		}
	}
	if len(out.Hosts) > 0 || len(entry.Hosts) == 0 {
		t.TLS = append(t.TLS, out)
	}
}

// requests asks for a certificate for each of hosts.
func (t *certifier) requests(field string, hosts []string) {
	for i, h := range hosts {
		q := CertRequest{Field: field + ".hosts[" + strconv.Itoa(i) + "]", Origin: t.origin}
		var err error
		if q.Host, err = canonicalHost(h); err != nil || q.Host == "" {
			t.problem(q.Field, "%q is no host name: write a DNS name, or one whose first label is *", h)
			continue
		}
		if t.owns(q.Field, q.Host) {
			t.CertRequests = append(t.CertRequests, q)
		}
	}
}

// tlsHost returns the canonical host, unless it is none or an Ingress that
// came before serves it with another Secret.
func (t *certifier) tlsHost(field, h, secret string) (string, bool) {
	host, err := canonicalHost(h)
	if err != nil || host == "" {
		t.problem(field, "%q is no host name: write a DNS name, or one whose first label is *", h)
		return "", false
	}
	if !t.owns(field, host) {
		return "", false
	}
	other, ok := t.served[host]
	if ok && other.secret != secret {
		t.problem(field, "%s is served with Secret %s of %s, which comes first: remove one of the two", host, other.secret, other.origin)
		return "", false
	}
	t.served[host] = servedBy{secret, t.origin}
	return host, true
}
