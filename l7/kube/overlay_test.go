package kube

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const twoIngresses = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: old, namespace: web}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: new, namespace: web, creationTimestamp: "2001-01-01T00:00:00Z"}
`

// TestOverlayAge: who comes last has a host last, so what is applied at an API
// server must not look older than what is there.
func TestOverlayAge(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before := made.Add(-time.Hour)
	old := &netv1.Ingress{ObjectMeta: meta("web", "old")}
	other := &netv1.Ingress{ObjectMeta: meta("web", "other")}
	for _, in := range []*netv1.Ingress{old, other} {
		in.CreationTimestamp = metav1.NewTime(before)
	}
	written := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		apply Apply
		want  map[string]time.Time
	}{
		"at an API server":     {Apply{Made: made}, map[string]time.Time{"old": before, "other": before, "new": made}},
		"all at an API server": {Apply{Made: made, Whole: true}, map[string]time.Time{"old": before, "new": made}},
		"in a folder":          {Apply{}, map[string]time.Time{"old": before, "other": before, "new": written}},
	} {
		tt.apply.Files = map[string][]byte{"a.yaml": []byte(twoIngresses)}
		o, problems := Overlay(&Objects{Ingresses: []*netv1.Ingress{old, other}}, tt.apply)
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		if len(o.Ingresses) != len(tt.want) {
			t.Errorf("%s: %d Ingresses, want %d", name, len(o.Ingresses), len(tt.want))
		}
		for _, in := range o.Ingresses {
			if want := tt.want[in.Name]; !in.CreationTimestamp.Time.Equal(want) {
				t.Errorf("%s: %s is of %v, want %v", name, in.Name, in.CreationTimestamp, want)
			}
		}
	}
}

// TestSelect: what this edge does not read is of no effect when it is applied.
func TestSelect(t *testing.T) {
	w, err := NewWatcher(WatchOptions{
		Log: slog.New(slog.DiscardHandler), Endpoints: []string{"https://192.0.2.1:6443"},
		Namespaces: []string{"web", "shop"}, LabelSelector: "edge=yes",
	})
	if err != nil {
		t.Fatal(err)
	}
	o := &Objects{Classes: []*netv1.IngressClass{{ObjectMeta: meta("", "portico")}}}
	for _, namespace := range []string{"web", "shop", "other"} {
		for _, name := range []string{"yes", "no"} {
			in := &netv1.Ingress{ObjectMeta: meta(namespace, name)}
			in.Labels = map[string]string{"edge": name}
			o.Ingresses = append(o.Ingresses, in)
		}
	}
	got := w.Select(o)
	if want := []string{"shop/yes=7", "web/yes=7"}; !slices.Equal(listed(got.Ingresses), want) {
		t.Errorf("got %q, want %q", listed(got.Ingresses), want)
	}
	if len(got.Classes) != 1 {
		t.Error("the class is gone, which belongs to no namespace")
	}
}
