package kube

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/route"
)

func serviceObject(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}, {Name: "admin", Port: 81}}},
	}
}

func sliceObject(service, name string, addrs ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name,
			Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Port: new(int32(8080))}},
	}
	for _, a := range addrs {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

// An index that has followed many changes knows what one that sees the end
// alone does, and its changes add up to it.
func TestEndpointIndexFollows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	o := &Objects{}
	x := NewEndpointIndex()
	followed := map[route.Backend][]route.Endpoint{}
	for round := range 2000 {
		name := fmt.Sprintf("s%d", r.IntN(6))
		switch r.IntN(6) {
		case 0:
			o.Services = slices.DeleteFunc(slices.Clone(o.Services), func(s *corev1.Service) bool { return s.Name == name })
		case 1:
			o.Services = slices.DeleteFunc(slices.Clone(o.Services), func(s *corev1.Service) bool { return s.Name == name })
			o.Services = slices.Insert(o.Services, r.IntN(len(o.Services)+1), serviceObject(name))
		case 2:
			if n := len(o.Slices); n > 0 {
				i := r.IntN(n)
				o.Slices = slices.Delete(slices.Clone(o.Slices), i, i+1)
			}
		case 3:
			s := sliceObject(name, fmt.Sprintf("%s-%d", name, round), fmt.Sprintf("10.0.0.%d", r.IntN(255)), "169.254.0.1")
			o.Slices = slices.Insert(slices.Clone(o.Slices), r.IntN(len(o.Slices)+1), s)
		case 4:
			o.Slices = slices.Clone(o.Slices)
			r.Shuffle(len(o.Slices), func(i, j int) { o.Slices[i], o.Slices[j] = o.Slices[j], o.Slices[i] })
		}
		var backends []route.Backend
		for i := range 6 {
			for _, port := range []string{"80", "admin"} {
				if round%50 < 40 || r.IntN(2) == 0 {
					backends = append(backends, route.Backend{Namespace: "default", Service: fmt.Sprintf("s%d", i), Port: port})
				}
			}
		}
		var gone []route.Backend
		for b := range x.All() {
			if !slices.Contains(backends, b) {
				gone = append(gone, b)
			}
		}
		x.Want(backends, gone)
		for _, e := range x.Update(o) {
			followed[e.Backend] = e.Endpoints
		}
		maps.DeleteFunc(followed, func(b route.Backend, e []route.Endpoint) bool { return len(e) == 0 || !slices.Contains(backends, b) })

		want, _ := Endpoints(o, backends)
		if diff := cmp.Diff(want, x.All(), cmp.Comparer(func(a, b route.Endpoint) bool { return a == b })); diff != "" {
			t.Fatalf("round %d (-fresh +followed):\n%s", round, diff)
		}
		maps.DeleteFunc(want, func(_ route.Backend, e []route.Endpoint) bool { return len(e) == 0 })
		if diff := cmp.Diff(want, followed, cmp.Comparer(func(a, b route.Endpoint) bool { return a == b })); diff != "" {
			t.Fatalf("round %d (-fresh +sum of changes):\n%s", round, diff)
		}
		fresh := NewEndpointIndex()
		fresh.Want(backends, nil)
		fresh.Update(o)
		if diff := cmp.Diff(fresh.Problems(), x.Problems()); diff != "" {
			t.Fatalf("round %d (-fresh +followed):\n%s", round, diff)
		}
	}
}

// BenchmarkEndpointChange is one Pod that leaves among 10,000 Services.
func BenchmarkEndpointChange(b *testing.B) {
	o := &Objects{}
	var backends []route.Backend
	for i := range 10000 {
		name := fmt.Sprintf("s%d", i)
		o.Services = append(o.Services, serviceObject(name))
		o.Slices = append(o.Slices, sliceObject(name, name+"-1", "10.0.0.1", "10.0.0.2"))
		backends = append(backends, route.Backend{Namespace: "default", Service: name, Port: "80"})
	}
	x := NewEndpointIndex()
	x.Want(backends, nil)
	x.Update(o)
	b.ReportAllocs()
	addrs := []string{"10.0.0.1", "10.0.0.2"}
	for i := 0; b.Loop(); i++ {
		o.Slices = slices.Clone(o.Slices)
		o.Slices[5000] = sliceObject("s5000", "s5000-1", addrs[:1+i%2]...)
		if changed := x.Update(o); len(changed) != 1 {
			b.Fatal(changed)
		}
	}
}

// TestZone: an index goes by the zone that it has now.
func TestZone(t *testing.T) {
	s := sliceObject("web", "web-1", "10.0.0.1", "10.0.0.2")
	for i, zone := range []string{"a", "b"} {
		s.Endpoints[i].Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: zone}}}
	}
	o := &Objects{Services: []*corev1.Service{serviceObject("web")}, Slices: []*discoveryv1.EndpointSlice{s}}
	web := route.Backend{Namespace: "default", Service: "web", Port: "80"}
	x := NewEndpointIndex()
	x.Want([]route.Backend{web}, nil)
	x.Update(o)
	for _, step := range []struct{ zone, want string }{
		{"", "10.0.0.1 10.0.0.2"}, {"b", "10.0.0.2"}, {"a", "10.0.0.1"}, {"c", "10.0.0.1 10.0.0.2"},
	} {
		x.SetZone(step.zone)
		x.Update(o)
		var got []string
		for _, e := range x.Of(web) {
			got = append(got, e.Addr.Addr().String())
		}
		if text := strings.Join(got, " "); text != step.want {
			t.Errorf("in zone %q: %s, want %s", step.zone, text, step.want)
		}
		if n := x.count(web); n != 2 {
			t.Errorf("in zone %q it counts %d", step.zone, n)
		}
	}
}

// What routes lead to is wanted as long as one does, and then until the index is
// told otherwise.
func TestEndpointIndexCountsUses(t *testing.T) {
	x := NewEndpointIndex()
	web := route.Backend{Namespace: "default", Service: "web", Port: "80"}
	table, _ := route.NewTable([]route.Spec{
		{Host: "a", Path: "/", Backend: web},
		{Host: "b", Path: "/", Backend: web},
		{Host: "c", Path: "/", Backend: route.Static("own")},
		{Host: "d", Path: "/"},
	})
	routes := table.Routes()
	if idle := x.Use(routes, nil); len(idle) > 0 {
		t.Error("idle at once:", idle)
	}
	o := &Objects{
		Services: []*corev1.Service{serviceObject("web")},
		Slices:   []*discoveryv1.EndpointSlice{sliceObject("web", "web-1", "10.0.0.1")},
	}
	if got := x.Update(o); len(got) != 1 || got[0].Backend != web || len(got[0].Endpoints) != 1 {
		t.Errorf("%v", got)
	}
	if idle := x.Use(nil, routes[:1]); len(idle) > 0 {
		t.Error("idle beside a route that leads there:", idle)
	}
	idle := x.Use(nil, routes[1:])
	if diff := cmp.Diff([]route.Backend{web}, idle); diff != "" {
		t.Error(diff)
	}
	if x.Update(o); len(x.Of(web)) != 1 {
		t.Error("its endpoints went with its last route")
	}
	if x.Want(nil, idle); len(x.Of(web)) != 0 {
		t.Error("its endpoints stay")
	}
}
