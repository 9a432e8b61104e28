package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// twoStores are those of one kind in two namespaces.
func twoStores(t *testing.T) (*kind[*netv1.Ingress], [2]*store[*netv1.Ingress]) {
	w := &reader{
		log: slog.New(slog.NewTextHandler(t.Output(), nil)), server: &server{},
		changed: make(chan struct{}, 1), stir: make(chan struct{}, 1), synced: make(chan struct{}),
	}
	k := &kind[*netv1.Ingress]{}
	var stores [2]*store[*netv1.Ingress]
	for i := range stores {
		r := &reading{what: fmt.Sprintf("ingresses in namespace %d", i)}
		w.readings = append(w.readings, r)
		stores[i] = &store[*netv1.Ingress]{w: w, reading: r, kind: k, keep: keepAll[*netv1.Ingress], objects: map[cache.ObjectName]*netv1.Ingress{}}
	}
	k.stores = stores[:]
	return k, stores
}

func version(namespace, name string, v int) *netv1.Ingress {
	in := &netv1.Ingress{ObjectMeta: meta(namespace, name)}
	in.ResourceVersion, in.Generation = fmt.Sprint(v), int64(v)
	return in
}

func listed(all []*netv1.Ingress) (out []string) {
	for _, in := range all {
		out = append(out, in.Namespace+"/"+in.Name+"="+in.ResourceVersion)
	}
	slices.Sort(out)
	return out
}

// TestKindHoldsWhatItsStoresHold compares with a dumb twin, and lists that were
// handed out with what they were then.
func TestKindHoldsWhatItsStoresHold(t *testing.T) {
	k, stores := twoStores(t)
	random := rand.New(rand.NewPCG(1, 2))
	type given struct {
		list []*netv1.Ingress
		was  string
	}
	var kept []given
	for round := range 3000 {
		i := random.IntN(2)
		in := version(fmt.Sprint(i), fmt.Sprint(random.IntN(6)), round)
		var err error
		switch random.IntN(10) {
		case 0:
			err = stores[i].Replace([]any{in, version(in.Namespace, "more", round)}, "")
		case 1, 2, 3:
			err = stores[i].Delete(in)
		default:
			err = stores[i].Add(in)
		}
		if err != nil {
			t.Fatal(err)
		}
		var want []*netv1.Ingress
		for _, s := range stores {
			for _, o := range s.objects {
				want = append(want, o)
			}
		}
		got := k.all()
		if !slices.Equal(listed(got), listed(want)) {
			t.Fatalf("round %d: %q, want %q", round, listed(got), listed(want))
		}
		if random.IntN(20) == 0 {
			kept = append(kept, given{got, strings.Join(listed(got), " ")})
		}
	}
	for _, g := range kept {
		if now := strings.Join(listed(g.list), " "); now != g.was {
			t.Errorf("a list that was handed out is now %s, was %s", now, g.was)
		}
	}
}

// TestEmptyListIsBelievedLate: everything gone at once is an API server in
// trouble, until it has said so for a while.
func TestEmptyListIsBelievedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, stores := twoStores(t)
		s := stores[0]
		expect := func(when string, list []any, refused bool, want int) {
			t.Helper()
			if err := s.Replace(list, ""); errors.Is(err, errEmpty) != refused {
				t.Errorf("%s: %v", when, err)
			}
			if got := len(k.all()); got != want {
				t.Errorf("%s: %d objects, want %d", when, got, want)
			}
		}
		one := []any{version("0", "a", 1)}
		expect("at first", nil, false, 0)
		expect("one", one, false, 1)
		expect("none", nil, true, 1)
		time.Sleep(emptyFor - 1)
		expect("still none", nil, true, 1)
		expect("one again", one, false, 1)
		time.Sleep(emptyFor)
		expect("none once more", nil, true, 1)
		time.Sleep(emptyFor)
		expect("for long enough", nil, false, 0)
		expect("and since", nil, false, 0)
	})
}

// TestStatusIsNoChange: an address that is published changes no route.
func TestStatusIsNoChange(t *testing.T) {
	k, stores := twoStores(t)
	s := stores[0]
	for _, step := range []struct {
		name    string
		change  func(*netv1.Ingress)
		changes bool
	}{
		{"the first", func(*netv1.Ingress) {}, true},
		{"its status", func(in *netv1.Ingress) {
			in.Status.LoadBalancer.Ingress = []netv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
		}, false},
		{"its spec", func(in *netv1.Ingress) { in.Generation++ }, true},
		{"an annotation", func(in *netv1.Ingress) { in.Annotations = map[string]string{"a": "b"} }, true},
		{"a label", func(in *netv1.Ingress) { in.Labels = map[string]string{"a": "b"} }, true},
		{"another of its name", func(in *netv1.Ingress) { in.UID = types.UID("u-2") }, true},
	} {
		in := version("0", "a", 1)
		if len(k.list) > 0 {
			in = k.list[0].DeepCopy()
		}
		step.change(in)
		gen := k.gen
		if err := s.Update(in); err != nil {
			t.Fatal(err)
		}
		if got := k.gen != gen; got != step.changes {
			t.Errorf("%s: a change is %v", step.name, got)
		}
		if k.all()[0] != in {
			t.Errorf("%s: the latest version is not there", step.name)
		}
		select {
		case <-s.w.stir:
		default:
			t.Errorf("%s: nobody is told", step.name)
		}
	}
}
