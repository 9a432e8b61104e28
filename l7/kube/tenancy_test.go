package kube

import (
	"strings"
	"testing"

	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHostOwners(t *testing.T) {
	owners := HostOwners{
		"shop.example":       {"shop"},
		"*.team.example":     {"team", "blue"},
		"www.team.example":   {"www"},
		"*.deep.example":     {"*"},
		"*.wildcard.example": {"wild"},
		"*":                  {"platform"},
	}
	for _, tt := range []struct {
		host, namespaces string // that may have it
	}{
		{"shop.example", "shop"},
		{"www.shop.example", "platform"},
		{"a.team.example", "team blue"},
		{"a.b.team.example", "team blue"},
		{"www.team.example", "www"},
		{"team.example", "platform"},
		{"a.b.deep.example", "shop team blue www wild platform"},
		{"*.wildcard.example", "wild"},
		{"*.team.example", "team blue"},
		{"", "platform"},
	} {
		for _, ns := range []string{"shop", "team", "blue", "www", "wild", "platform"} {
			ing := &netv1.Ingress{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "x"},
				Spec: netv1.IngressSpec{
					IngressClassName: new("portico"),
					DefaultBackend:   &netv1.IngressBackend{Service: &netv1.IngressServiceBackend{Name: "web", Port: netv1.ServiceBackendPort{Number: 80}}},
				},
			}
			if tt.host != "" {
				ing.Spec.Rules = []netv1.IngressRule{{Host: tt.host}}
			}
			r := Routes(&Objects{Ingresses: []*netv1.Ingress{ing}}, Options{IngressClass: "portico", HostOwners: owners})
			got := false
			for _, s := range r.Specs {
				got = got || s.Host == tt.host
			}
			if want := strings.Contains(" "+tt.namespaces+" ", " "+ns+" "); got != want {
				t.Errorf("%q in namespace %s: %v, want %v: %v", tt.host, ns, got, want, r.Problems)
			}
			if !got && len(r.Problems) == 0 {
				t.Errorf("%q in namespace %s is left out, and nobody is told", tt.host, ns)
			}
		}
	}
}
