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
	// owners are those of the hosts that a tls names; it has an index, unless
	// nothing was read yet.
	owners few[string, route.Origin]
}

func (c *certificates) equal(o certificates) bool {
	return o.owners.index != nil && slices.Equal(c.CertRequests, o.CertRequests) && slices.EqualFunc(c.TLS, o.TLS, func(a, b TLS) bool {
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
		if len(e.tls) > 0 {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, compareAge)
	n := len(t.tls.owners.index)
	c := certifier{
		translation: translation{opt: &t.opt, of: t, owners: few[string, route.Origin]{index: make(map[string]route.Origin, n)}},
		served:      make(map[string]servedBy, n),
	}
	c.TLS = make([]TLS, 0, len(t.tls.TLS)+1)
	for _, e := range all {
		c.origin, c.part = originOf(e.Ingress), e.part
		for i := range e.tls {
			c.tls(i, &e.tls[i])
		}
	}
	return certificates{c.TLS, c.CertRequests, c.Problems, c.owners}
}

// A tlsEntry is one entry of an Ingress's tls, to be read again and again.
type tlsEntry struct {
	*netv1.IngressTLS
	secret string   // "namespace/name", "" for none
	hosts  []string // canonical, "" for one that is no host name
}

func newTLSEntries(in *netv1.Ingress) []tlsEntry {
	out := make([]tlsEntry, len(in.Spec.TLS))
	for i := range out {
		t := &in.Spec.TLS[i]
		out[i].IngressTLS = t
		if t.SecretName != "" {
			out[i].secret = in.Namespace + "/" + t.SecretName
		}
		for _, h := range t.Hosts {
			host, err := canonicalHost(h)
			if err != nil {
				host = ""
			}
			out[i].hosts = append(out[i].hosts, host)
		}
	}
	return out
}

func tlsSecretField(i int) string { return "spec.tls[" + strconv.Itoa(i) + "].secretName" }

func tlsHostField(i, j int) string {
	return "spec.tls[" + strconv.Itoa(i) + "].hosts[" + strconv.Itoa(j) + "]"
}

// owns is that of a translation, for host j of entry i. Who has a rule for a host
// has it first.
func (t *certifier) owns(i, j int, host string) bool {
	owner, taken := t.owners.get(host)
	if p := t.of.byHost[host]; !taken && p != nil {
		if owner, taken = p.owners.get(host); taken {
			t.owners.set(host, owner)
		}
	}
	if len(t.opt.HostOwners) == 0 && taken && owner.Namespace == t.origin.Namespace {
		return true // as it is nearly always
	}
	if c := (claim{t.origin, host}); t.part.disowned[c] {
		remember(&t.disowned, c, true)
	}
	return t.translation.owns("", tlsHostField(i, j), host)
}

// tls reads one entry of an Ingress's tls. One with neither Secret nor hosts
// asks for the default certificate. The Secret's type is of no importance: whoever made it
// as Opaque has its two keys there as well.
func (t *certifier) tls(i int, entry *tlsEntry) {
	if entry.secret == "" {
		t.requests(i, entry)
		return
	}
	secret := t.of.secrets[entry.secret]
	if secret == nil {
		t.problem(tlsSecretField(i), "Secret %s does not exist, clients get the default certificate: "+
			"kubectl create secret tls %s -n %s --cert=FILE --key=FILE", entry.secret, entry.SecretName, t.origin.Namespace)
		return
	}
	for _, key := range [...]string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if _, ok := secret.Data[key]; !ok {
			t.problem(tlsSecretField(i), "Secret %s has no %s, clients get the default certificate: add it", entry.secret, key)
			return
		}
	}
	out := TLS{
		Secret: entry.secret,
		Hosts:  t.certain(i, entry),
		Cert:   secret.Data[corev1.TLSCertKey],
		Key:    secret.Data[corev1.TLSPrivateKeyKey],
		Origin: t.origin,
	}
	if len(out.Hosts) > 0 || len(entry.hosts) == 0 {
		t.TLS = append(t.TLS, out)
	}
}

// certain returns the hosts of an entry that it may have: mostly all.
func (t *certifier) certain(i int, entry *tlsEntry) []string {
	var some []string
	for j, host := range entry.hosts {
		ok := t.tlsHost(i, j, entry)
		if !ok && some == nil {
			some = append(make([]string, 0, len(entry.hosts)), entry.hosts[:j]...)
		} else if ok && some != nil {
			some = append(some, host)
		}
	}
	if some != nil {
		return some
	}
	return entry.hosts
}

// Uncertified returns the Ingresses that are ours of which a host has no
// certificate, though a Secret is named for it; known says which hosts have one,
// from wherever. Those for which a CA is asked, by us or by cert-manager, do not
// count: it looks for them where the published addresses lead.
func (t *Translator) Uncertified(known func(host string) bool) (out []*netv1.Ingress) {
	for in, e := range t.entries {
		if slices.ContainsFunc(e.tls, func(entry tlsEntry) bool { return t.lacks(e, &entry, known) }) && !asksCA(in) {
			out = append(out, in)
		}
	}
	return out
}

// asksCA reports whether cert-manager is to make the Secrets of an Ingress.
func asksCA(in *netv1.Ingress) bool {
	for _, name := range [...]string{"cert-manager.io/issuer", "cert-manager.io/cluster-issuer", "kubernetes.io/tls-acme"} {
		if in.Annotations[name] != "" {
			return true
		}
	}
	return false
}

// lacks reports whether a host of an entry of e's has no certificate. Of one that
// names no hosts, it is the Secret that is to be there.
func (t *Translator) lacks(e *entry, entry *tlsEntry, known func(host string) bool) bool {
	switch {
	case entry.secret == "":
		return false
	case len(entry.hosts) == 0:
		s := t.secrets[entry.secret]
		return s == nil || len(s.Data[corev1.TLSCertKey]) == 0 || len(s.Data[corev1.TLSPrivateKeyKey]) == 0
	}
	return slices.ContainsFunc(entry.hosts, func(host string) bool {
		return host != "" && !known(host) && !e.part.disowned[claim{originOf(e.Ingress), host}]
	})
}

// requests asks for a certificate for each host of an entry.
func (t *certifier) requests(i int, entry *tlsEntry) {
	for j, host := range entry.hosts {
		q := CertRequest{Host: host, Field: tlsHostField(i, j), Origin: t.origin}
		if host == "" {
			t.problem(q.Field, "%q is no host name: write a DNS name, or one whose first label is *", entry.Hosts[j])
		} else if t.owns(i, j, host) {
			t.CertRequests = append(t.CertRequests, q)
		}
	}
}

// tlsHost reports whether an entry may have its host j: unless it is none or an
// Ingress that came before serves it with another Secret.
func (t *certifier) tlsHost(i, j int, entry *tlsEntry) bool {
	host := entry.hosts[j]
	if host == "" {
		t.problem(tlsHostField(i, j), "%q is no host name: write a DNS name, or one whose first label is *", entry.Hosts[j])
		return false
	}
	if !t.owns(i, j, host) {
		return false
	}
	other, ok := t.served[host]
	if !ok {
		t.served[host] = servedBy{entry.secret, t.origin}
	} else if other.secret != entry.secret {
		t.problem(tlsHostField(i, j), "%s is served with Secret %s of %s, which comes first: remove one of the two", host, other.secret, other.origin)
		return false
	}
	return true
}
