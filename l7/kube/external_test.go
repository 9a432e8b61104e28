package kube

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/route"
)

func TestExternalNames(t *testing.T) {
	o := &Objects{}
	service := func(name, stands string, ports ...corev1.ServicePort) {
		o.Services = append(o.Services, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: stands, Ports: ports},
		})
	}
	service("api", "API.partner.example.", corev1.ServicePort{Name: "https", Port: 443, AppProtocol: new("https")})
	service("bare", "a.b.partner.example")
	service("domain", "partner.example")
	service("other", "evilpartner.example")
	service("address", "10.0.0.1")
	service("unanswered", "late.partner.example")
	service("unwanted", "unwanted.partner.example")

	var backends []route.Backend
	for _, s := range []string{"api/https", "bare/8080", "bare/http", "domain/80", "other/80", "address/80", "unanswered/80"} {
		name, port, _ := strings.Cut(s, "/")
		backends = append(backends, route.Backend{Namespace: "shop", Service: name, Port: port})
	}
	x := NewEndpointIndex()
	x.Want(backends, nil)
	x.Update(o)
	if names := x.ExternalNames(); names != nil {
		t.Errorf("nothing is allowed, and asked for is %v", names)
	}
	x.SetNames(Names{Allow: []string{"*.partner.example"}})
	if got, want := x.ExternalNames(), []string{"a.b.partner.example", "api.partner.example", "late.partner.example"}; !slices.Equal(got, want) {
		t.Errorf("asked for is %v, want %v", got, want)
	}
	x.SetNames(Names{
		Allow: []string{"*.partner.example"},
		Answers: map[string]Answer{
			"api.partner.example": {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")}},
			"a.b.partner.example": {Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}, Err: "one is left out"},
			"partner.example":     {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.9")}},
		},
	})
	got := map[string]string{}
	for _, e := range x.Update(o) {
		b, eps := e.Backend, e.Endpoints
		for _, e := range eps {
			got[b.String()] += " " + endpointText(e)
		}
	}
	if diff := cmp.Diff(map[string]string{
		"shop/api:https": " 192.0.2.1:443/https 192.0.2.2:443/https",
		"shop/bare:8080": " [2001:db8::1]:8080",
	}, got); diff != "" {
		t.Error(diff)
	}
	var problems []string
	for _, p := range x.Problems() {
		problems = append(problems, p.String())
	}
	if diff := cmp.Diff([]string{
		`Service shop/address: spec.externalName: "10.0.0.1" is no DNS name, its routes answer 503: correct it`,
		`Service shop/bare: spec.externalName: one is left out`,
		`Service shop/bare: spec.ports: no TCP port is http, which is asked for, what leads there answers 503: add the port, or correct the Ingress or the middleware that names it`,
		`Service shop/domain: spec.externalName: partner.example is not in l7.kubernetes.allow_external_names, its routes answer 503: add it there, or use a Service with endpoints`,
		`Service shop/other: spec.externalName: evilpartner.example is not in l7.kubernetes.allow_external_names, its routes answer 503: add it there, or use a Service with endpoints`,
	}, problems); diff != "" {
		t.Error(diff)
	}
}
