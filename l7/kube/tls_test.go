package kube

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
)

// TestUncertified: an Ingress has its certificates where the hosts that a Secret
// is named for have one, whose ever that is.
func TestUncertified(t *testing.T) {
	ingress := func(name, annotation string, tls ...netv1.IngressTLS) *netv1.Ingress {
		in := &netv1.Ingress{ObjectMeta: meta("shop", name)}
		class := "portico"
		in.Spec.IngressClassName = &class
		in.Spec.Rules = []netv1.IngressRule{{Host: name + ".test"}}
		in.Spec.TLS = tls
		if annotation != "" {
			in.Annotations = map[string]string{annotation: "letsencrypt"}
		}
		return in
	}
	named := func(secret string, hosts ...string) netv1.IngressTLS {
		return netv1.IngressTLS{SecretName: secret, Hosts: hosts}
	}
	pair := func(name, key string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: meta("shop", name), Data: map[string][]byte{"tls.crt": []byte("c"), "tls.key": []byte(key)}}
	}
	other := ingress("other", "")
	other.Namespace, other.Spec.Rules[0].Host = "bank", "hers.test"
	o := &Objects{
		Ingresses: []*netv1.Ingress{
			other,
			ingress("plain", ""),
			ingress("known", "", named("gone", "Known.test", "*.wild.test")),
			ingress("ours", "", named("", "nobody.test")),
			ingress("managed", "cert-manager.io/cluster-issuer", named("coming", "nobody.test")),
			ingress("nohosts", "", named("there")),
			ingress("hers", "", named("gone", "hers.test", "known.test")), // and not the host of the bank's
			ingress("missing", "", named("there", "known.test"), named("gone", "known.test", "nobody.test")),
			ingress("empty", "", named("half")),
			ingress("none", "", named("gone")),
		},
		Secrets: []*corev1.Secret{pair("there", "k"), pair("half", "")},
	}
	o.Ingresses[6].Spec.Rules[0].Host = "hers.test"
	for i, in := range o.Ingresses {
		in.CreationTimestamp.Time = in.CreationTimestamp.AddDate(2020+i, 0, 0)
	}
	x := NewEndpointIndex()
	x.Update(o)
	tr := NewTranslator(options(Spec), x)
	tr.Update(o)
	var got []string
	for _, in := range tr.Uncertified(func(host string) bool { return host == "known.test" || host == "*.wild.test" }) {
		got = append(got, in.Name)
	}
	slices.Sort(got)
	if want := []string{"empty", "missing", "none"}; !slices.Equal(got, want) {
		t.Errorf("without a certificate: %q, want %q", got, want)
	}
}
