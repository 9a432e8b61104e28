package l7

import (
	"testing"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
)

// What a route of the configuration answers, it answers in every dialect.
func TestDialectsHaveTheConfigurationsRoutes(t *testing.T) {
	own := route.Spec{
		Host: "mill.example", Path: "/", Match: route.Prefix,
		Backend: route.Backend{Namespace: route.StaticNamespace, Service: "mill", Port: "endpoint"},
		Origin:  route.Origin{Kind: staticKind, Namespace: route.StaticNamespace, Name: "mill"},
	}
	s := &state{source: &folder{objects: &kube.Objects{}}, own: []route.Spec{own}}
	answers := s.dialects("http", []byte("mill.example"), []byte("/wheel"), &own)
	if len(answers) != len(kube.Dialects())-1 {
		t.Fatalf("%d answers, want one of every dialect but the own", len(answers))
	}
	for _, a := range answers {
		if !a.Same || a.Route == nil || a.Route.Origin != own.Origin {
			t.Errorf("dialect %s: %+v, want the configuration's route", a.Dialect, a)
		}
	}
}

// A folder is a kube.Source that has been read.
type folder struct {
	kube.Source
	objects *kube.Objects
}

func (f *folder) Objects() *kube.Objects { return f.objects }
