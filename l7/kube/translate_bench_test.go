package kube

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkRoutes translates 10,000 Ingresses of two rules, with and without
// annotations.
func BenchmarkRoutes(b *testing.B) {
	for _, annotations := range []map[string]string{
		nil,
		{traefikOwn + "rule-type": "PathPrefixStrip", traefikOwn + "redirect-entry-point": "https", traefikOwn + "frame-deny": "true"},
	} {
		o := &Objects{}
		for i := range 10000 {
			one := traefikObjects(annotations, fmt.Sprintf("/p%d", i))
			ing := one.Ingresses[0]
			ing.Name = fmt.Sprintf("ing-%d", i)
			ing.Spec.Rules[0].Host = fmt.Sprintf("h%d.example", i)
			o.Ingresses = append(o.Ingresses, ing)
			o.Services = append(o.Services, one.Services...)
		}
		for d := range Dialects() {
			b.Run(fmt.Sprintf("%s/annotations=%d", Dialect(d), len(annotations)), func(b *testing.B) {
				for b.Loop() {
					Routes(o, options(Dialect(d)))
				}
			})
		}
	}
}

// BenchmarkChange reads one of 10,000 Ingresses again, without and with a
// certificate of its own in each.
func BenchmarkChange(b *testing.B) {
	for _, tls := range []bool{false, true} {
		b.Run(fmt.Sprintf("tls=%v", tls), func(b *testing.B) {
			o := &Objects{}
			for i := range 10000 {
				o.Ingresses = append(o.Ingresses, benchIngress(i, tls))
				o.Secrets = append(o.Secrets, &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("s%d", i)},
					Data:       map[string][]byte{"tls.crt": []byte("c"), "tls.key": []byte("k")},
				})
			}
			x := NewEndpointIndex()
			x.Update(o)
			tr := NewTranslator(options(Spec), x)
			tr.Update(o)
			b.ReportAllocs()
			for b.Loop() {
				o.Ingresses = slices.Clone(o.Ingresses)
				o.Ingresses[5000] = benchIngress(5000, tls)
				if change := tr.Update(o); len(change.Hosts) != 1 {
					b.Fatal(change)
				}
			}
		})
	}
}

func benchIngress(i int, tls bool) *netv1.Ingress {
	in := traefikObjects(nil, "/").Ingresses[0]
	in.Name = fmt.Sprintf("ing-%d", i)
	in.Spec.Rules[0].Host = fmt.Sprintf("h%d.example", i)
	if tls {
		in.Spec.TLS = []netv1.IngressTLS{{Hosts: []string{in.Spec.Rules[0].Host}, SecretName: fmt.Sprintf("s%d", i)}}
	}
	return in
}
