package kube

import (
	"fmt"

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

// certificates reads the tls of an Ingress.
func (t *translation) certificates(ing *netv1.Ingress) {
	t.origin = originOf(ing)
	for i, entry := range ing.Spec.TLS {
		t.tls(fmt.Sprintf("spec.tls[%d]", i), entry)
	}
}

// tls reads one entry of an Ingress's tls. One with neither Secret nor hosts
// asks for the default certificate. The Secret's type is of no importance: whoever made it
// as Opaque has its two keys there as well.
func (t *translation) tls(field string, entry netv1.IngressTLS) {
	if entry.SecretName == "" {
		t.requests(field, entry.Hosts)
		return
	}
	name := t.origin.Namespace + "/" + entry.SecretName
	secret := t.secrets[name]
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
		if host, ok := t.tlsHost(fmt.Sprintf("%s.hosts[%d]", field, i), h, out); ok {
			out.Hosts = append(out.Hosts, host)
		}
	}
	if len(out.Hosts) > 0 || len(entry.Hosts) == 0 {
		t.TLS = append(t.TLS, out)
	}
}

// requests asks for a certificate for each of hosts.
func (t *translation) requests(field string, hosts []string) {
	for i, h := range hosts {
		q := CertRequest{Field: fmt.Sprintf("%s.hosts[%d]", field, i), Origin: t.origin}
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
func (t *translation) tlsHost(field, h string, out TLS) (string, bool) {
	host, err := canonicalHost(h)
	if err != nil || host == "" {
		t.problem(field, "%q is no host name: write a DNS name, or one whose first label is *", h)
		return "", false
	}
	if !t.owns(field, host) {
		return "", false
	}
	other, ok := t.served[host]
	if ok && other.Secret != out.Secret {
		t.problem(field, "%s is served with Secret %s of %s, which comes first: remove one of the two", host, other.Secret, other.Origin)
		return "", false
	}
	t.served[host] = out
	return host, true
}
