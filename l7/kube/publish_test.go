package kube

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// at is an Ingress whose status has these addresses.
func at(name string, has ...string) *netv1.Ingress {
	in := &netv1.Ingress{ObjectMeta: meta("shop", name)}
	in.UID = types.UID("uid-" + name)
	in.Status.LoadBalancer.Ingress = addresses(has)
	return in
}

// TestStatuses shows what is written, a round after another: what is served,
// what the API server has, and what comes of it.
func TestStatuses(t *testing.T) {
	s := newStatuses(addresses([]string{"192.0.2.1", "edge.example"}))
	now := time.Unix(0, 0)
	ours := []string{"edge.example", "192.0.2.1"} // in another order
	for _, round := range []struct {
		name            string
		served, current []*netv1.Ingress
		waiting         []*netv1.Ingress // for a certificate
		after           time.Duration
		want            string
		fails, held     bool   // err stands after it
		none            string // who gets none yet
	}{
		{
			name:   "what has none, or others, gets ours; what is not served is left alone",
			served: []*netv1.Ingress{at("a"), at("b"), at("c")}, current: []*netv1.Ingress{at("c", ours...), at("b", "192.0.2.9"), at("a"), at("d", ours...), at("e")},
			want: "a=192.0.2.1,edge.example b=192.0.2.1,edge.example",
		},
		{
			name:   "what is written waits for the watch to say so",
			served: []*netv1.Ingress{at("a"), at("b")}, current: []*netv1.Ingress{at("a"), at("b", ours...)},
			after: time.Second,
		},
		{
			name:   "whoever writes another address draws us into no race",
			served: []*netv1.Ingress{at("a"), at("b")}, current: []*netv1.Ingress{at("a", "192.0.2.9"), at("b", ours...)},
			after: rewriteEvery - 2*time.Second,
		},
		{
			name:   "but does not win",
			served: []*netv1.Ingress{at("a"), at("b")}, current: []*netv1.Ingress{at("a", "192.0.2.9"), at("b", ours...)},
			after: time.Second,
			want:  "a=192.0.2.1,edge.example",
		},
		{
			name:   "what is not served any more loses them, if it has ours",
			served: nil, current: []*netv1.Ingress{at("a", "192.0.2.9"), at("b", ours...), at("d", ours...)},
			after: rewriteEvery,
			want:  "b=",
			fails: true,
		},
		{
			name:   "which is an error until it is done",
			served: nil, current: []*netv1.Ingress{at("b", ours...)},
			after: rewriteEvery - 1,
			held:  true,
		},
		{
			name:   "and again when that has failed",
			served: nil, current: []*netv1.Ingress{at("b", ours...)},
			after: 1,
			want:  "b=",
		},
		{
			name:   "once",
			served: nil, current: []*netv1.Ingress{at("b", ours...)},
			after: rewriteEvery,
		},
		{
			name:   "what waits for its certificate keeps what it has, ours or not",
			served: []*netv1.Ingress{at("e"), at("f"), at("g"), at("h")}, waiting: []*netv1.Ingress{at("e"), at("f"), at("g")},
			current: []*netv1.Ingress{at("e"), at("f", "192.0.2.9"), at("g", ours...), at("h")},
			want:    "h=192.0.2.1,edge.example",
			none:    "e f",
		},
		{
			name:   "until that is there, or it is served no more",
			served: []*netv1.Ingress{at("e"), at("f"), at("h")}, waiting: []*netv1.Ingress{at("f")},
			current: []*netv1.Ingress{at("e"), at("f", "192.0.2.9"), at("g", ours...), at("h", ours...)},
			want:    "e=192.0.2.1,edge.example g=",
			none:    "f",
		},
	} {
		now = now.Add(round.after)
		var got, none []string
		for _, w := range s.diff(&Report{Served: round.served, Uncertified: round.waiting}, round.current, now) {
			var to []string
			for _, a := range w.to {
				to = append(to, a.IP+a.Hostname)
			}
			got = append(got, w.ingress.Name+"="+strings.Join(to, ","))
			var err error
			if round.fails {
				err = errors.New("refused")
			}
			s.done(w, err, now)
		}
		if got := strings.Join(got, " "); got != round.want {
			t.Errorf("%s: got %q, want %q", round.name, got, round.want)
		}
		for _, p := range s.problems() {
			none = append(none, strings.TrimPrefix(p.Object, "Ingress shop/"))
		}
		if none := strings.Join(none, " "); none != round.none {
			t.Errorf("%s: got none: %q, want %q", round.name, none, round.none)
		}
		if failed := s.err() != nil; failed != (round.fails || round.held) {
			t.Errorf("%s: the error is %v", round.name, s.err())
		}
	}
}

func TestLastEdgeClearsItsOwn(t *testing.T) {
	s := newStatuses(addresses([]string{"192.0.2.1"}))
	current := []*netv1.Ingress{at("a", "192.0.2.1"), at("b", "192.0.2.1"), at("c", "192.0.2.1")}
	s.diff(&Report{Served: current[:2]}, current, time.Unix(0, 0))
	writes := s.clear([]*netv1.Ingress{current[0], at("b", "192.0.2.9"), current[2]})
	if len(writes) != 1 || writes[0].ingress.Name != "a" || writes[0].to != nil {
		t.Errorf("got %v", writes)
	}
	body, err := writes[0].patch()
	if want := `{"metadata":{"uid":"uid-a"},"status":{"loadBalancer":{"ingress":null}}}`; string(body) != want || err != nil {
		t.Errorf("the patch is %s, %v, want %s", body, err, want)
	}
}

// TestLedger shows which Events are due, a round after another.
func TestLedger(t *testing.T) {
	problem := func(name string) Problem { return Problem{Object: "Ingress shop/" + name, Text: "fault"} }
	a, b := problem("a"), problem("b")
	l := &ledger{told: map[Problem]*told{}}
	now := time.Unix(0, 0)
	for _, round := range []struct {
		name     string
		after    time.Duration
		problems []Problem
		want     string
	}{
		{"a problem may be gone in a moment", 0, []Problem{a, a}, ""},
		{"and then is none", eventAfter - 1, []Problem{b}, ""},
		{"one that stands is told", eventAfter, []Problem{b, a}, "b"},
		{"once", eventAfter, []Problem{b, a}, "a"},
		{"for a while", eventEvery - 2*eventAfter, []Problem{a, b}, ""},
		{"and again before it is forgotten", eventAfter, []Problem{a, b}, "b"},
		{"what is gone is told too", time.Second, []Problem{b}, "-a"},
		{"once, too", time.Second, []Problem{b}, ""},
		{"and what comes back is new", time.Second, []Problem{a, b}, ""},
		{"as any", eventAfter, []Problem{a, b}, "a"},
	} {
		now = now.Add(round.after)
		var got []string
		for _, r := range l.due(round.problems, now) {
			sign := ""
			if r.resolved {
				sign = "-"
			}
			got = append(got, sign+strings.TrimPrefix(r.problem.Object, "Ingress shop/"))
			l.done(r, nil, now)
		}
		if got := strings.Join(got, " "); got != round.want {
			t.Errorf("%s: got %q, want %q", round.name, got, round.want)
		}
	}
	var many []Problem
	for i := range 3 * maxEvents {
		many = append(many, problem(fmt.Sprint(i)))
	}
	l.due(many, now)
	if got := len(l.due(many, now.Add(eventAfter))); got != maxEvents {
		t.Errorf("%d at once, want %d", got, maxEvents)
	}
	l.pause = now.Add(time.Hour)
	if got := len(l.due(many, now.Add(time.Minute))); got != 0 {
		t.Errorf("%d in a pause", got)
	}
}

func TestEventNames(t *testing.T) {
	now := time.Unix(0, 0)
	about := corev1.ObjectReference{Kind: "Ingress", Namespace: "shop", Name: strings.Repeat("a", 229) + ".b.c", UID: "u-1"}
	object := "Ingress shop/" + about.Name
	r := report{problem: Problem{Object: object, Field: "spec.rules[0]", Text: strings.Repeat("ä", 2000)}}
	e := r.event(about, "edge-1", now)
	if e.Name != r.event(about, "edge-2", now.Add(time.Hour)).Name {
		t.Error("two edges tell one thing by two names")
	}
	if len(e.Name) > 253 || strings.Contains(e.Name, "..") || len(e.Note) > maxNote || !strings.HasPrefix(e.Note, "spec.rules[0]: ä") {
		t.Errorf("name %s, note %s", e.Name, e.Note)
	}
	names := map[string]bool{e.Name: true}
	again := about
	again.UID = "u-2"
	for _, other := range []struct {
		report
		about corev1.ObjectReference
	}{
		{report{problem: r.problem, resolved: true}, about},
		{report{problem: Problem{Object: object, Field: "spec.rules[1]", Text: r.problem.Text}}, about},
		{r, again},
	} {
		if n := other.event(other.about, "edge-1", now).Name; names[n] {
			t.Errorf("%s stands for two things", n)
		} else {
			names[n] = true
		}
	}
	if ns := r.event(corev1.ObjectReference{Kind: "IngressClass", Name: "portico"}, "edge-1", now).Namespace; ns != "default" {
		t.Errorf("the event of what has no namespace goes to %q", ns)
	}
}

// TestEventOfWhatIsMissing: what does not exist can have no Event, so those have
// it who lead there, and it says what is missing.
func TestEventOfWhatIsMissing(t *testing.T) {
	leading := func(namespace, name, service string, age time.Duration) *netv1.Ingress {
		in := &netv1.Ingress{ObjectMeta: meta(namespace, name)}
		in.CreationTimestamp = metav1.NewTime(time.Unix(0, 0).Add(-age))
		backend := netv1.IngressBackend{Service: &netv1.IngressServiceBackend{Name: service}}
		in.Spec.Rules = []netv1.IngressRule{{}, {IngressRuleValue: netv1.IngressRuleValue{HTTP: &netv1.HTTPIngressRuleValue{
			Paths: []netv1.HTTPIngressPath{{Backend: backend}},
		}}}}
		return in
	}
	last := leading("shop", "default", "other", time.Second)
	last.Spec.DefaultBackend = &netv1.IngressBackend{Service: &netv1.IngressServiceBackend{Name: "cart"}}
	o := &Objects{Ingresses: []*netv1.Ingress{
		last, leading("shop", "b", "cart", time.Minute), leading("shop", "a", "cart", time.Hour),
		leading("shop", "other", "other", 0), leading("other", "c", "cart", 0),
	}}
	p := Problem{Object: "Service shop/cart", Text: "does not exist"}
	var got []string
	for _, about := range o.references(p) {
		got = append(got, about.Kind+" "+about.Namespace+"/"+about.Name+": "+report{problem: p}.event(about, "edge-1", time.Unix(0, 0)).Note)
	}
	want := []string{
		"Ingress shop/a: Service shop/cart: does not exist",
		"Ingress shop/b: Service shop/cart: does not exist",
		"Ingress shop/default: Service shop/cart: does not exist",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	o.Services = []*corev1.Service{{ObjectMeta: meta("shop", "cart")}}
	if about := o.references(p); len(about) != 1 || about[0].Kind != "Service" || (report{problem: p}).event(about[0], "edge-1", time.Unix(0, 0)).Note != "does not exist" {
		t.Errorf("of a Service that exists: %+v", about)
	}

	// Who was told of it hears that it is none any more, and so does the Service.
	l := &ledger{told: map[Problem]*told{}}
	l.due([]Problem{p}, time.Unix(0, 0))
	for i, in := range o.Ingresses {
		in.UID = types.UID(fmt.Sprint("in-", i))
	}
	o.Services[0].UID = "cart"
	without := *o
	without.Services = nil
	l.done(report{problem: p}, l.concerned(report{problem: p}, &without), time.Unix(0, 0))
	o.Ingresses = o.Ingresses[1:] // one is gone by then
	got = nil
	for _, about := range l.concerned(report{problem: p, resolved: true}, o) {
		got = append(got, about.Kind+" "+about.Name)
	}
	if want := []string{"Service cart", "Ingress a", "Ingress b"}; !slices.Equal(got, want) {
		t.Errorf("resolved: got %q, want %q", got, want)
	}
}
