package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestServicesThatCount: what of Services rules are made of is looked at, and
// nothing else.
func TestServicesThatCount(t *testing.T) {
	o := traefikObjects(nil, "/")
	web := o.Services[0]
	another := func(change func(*corev1.Service)) []*corev1.Service {
		s := web.DeepCopy()
		change(s)
		return []*corev1.Service{s}
	}
	for _, tt := range []struct {
		name     string
		services []*corev1.Service
		want     bool
	}{
		{"the same", []*corev1.Service{web}, false},
		{"an equal one", another(func(*corev1.Service) {}), false},
		{"another status", another(func(s *corev1.Service) { s.ResourceVersion = "2" }), false},
		{"another annotation", another(func(s *corev1.Service) { s.Annotations = map[string]string{traefikOwn + "affinity": "true"} }), true},
		{"another port", another(func(s *corev1.Service) { s.Spec.Ports[0].Name = "https" }), true},
		{"gone", nil, true},
		{"one that nobody names", []*corev1.Service{web, {ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nobody"}}}, false},
		{"one that was missing", []*corev1.Service{web, {ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}}}, true},
		{"gone for one that was missing", []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}}}, true},
	} {
		for _, d := range []Dialect{Traefik17, Spec} {
			x := NewEndpointIndex()
			tr := NewTranslator(options(d), x)
			x.Update(o)
			tr.Update(o)
			next := *o
			next.Services = tt.services
			x.Update(&next)
			if got, want := !tr.Update(&next).Empty(), tt.want && d == Traefik17; got != want {
				t.Errorf("%s: %s: read again %v", tt.name, d, got)
			}
		}
	}
}

func TestDefaultEntrypoints(t *testing.T) {
	o := traefikObjects(nil, "/")
	own := traefikObjects(map[string]string{traefikOwn + "frontend-entry-points": "https"}, "/")
	for d := range Dialects() {
		opt := options(Dialect(d))
		opt.DefaultEntrypoints = []string{"http"}
		for _, s := range Routes(o, opt).Specs {
			if diff := cmp.Diff([]string{"http"}, s.Entrypoints); diff != "" {
				t.Errorf("%s: %s", Dialect(d), diff)
			}
		}
		if s := Routes(own, opt).Specs[0]; Dialect(d) == Traefik17 && !cmp.Equal(s.Entrypoints, []string{"https"}) {
			t.Errorf("an Ingress's own are %v", s.Entrypoints)
		}
	}
}
