package kube

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// An Apply is manifests that may be applied.
type Apply struct {
	// Files hold YAML or JSON by file name.
	Files map[string][]byte
	// Whole says that nothing but what they hold is to be there.
	Whole bool
	// Made is when objects would be made that are not there yet. An API server
	// says now, whatever a manifest says; the zero time leaves it to the manifest,
	// as a folder does.
	Made time.Time
}

// Overlay returns what o would be after a, and what is wrong with the manifests.
// A nil o is an empty cluster.
func Overlay(o *Objects, a Apply) (*Objects, []Problem) {
	read := make(map[string]*file, len(a.Files))
	for name, data := range a.Files {
		p := parseFile(name, data)
		read[name] = &file{manifests: p.manifests, faults: p.faults}
	}
	manifests, faults := merge(read)
	var problems []Problem
	for _, f := range faults {
		problems = append(problems, f.problem())
	}
	out := *newObjects(manifests, nil)
	if o == nil {
		o = &Objects{}
	}
	out.Ingresses = overlay(o.Ingresses, out.Ingresses, a)
	out.Classes = overlay(o.Classes, out.Classes, a)
	out.Services = overlay(o.Services, out.Services, a)
	out.Slices = overlay(o.Slices, out.Slices, a)
	out.Secrets = overlay(o.Secrets, out.Secrets, a)
	return &out, problems
}

// overlay returns put and, unless a is whole, those of have that put does not
// replace. One that replaces another is as old as that.
func overlay[T metav1.Object](have, put []T, a Apply) []T {
	type name struct{ namespace, name string }
	at := make(map[name]T, len(put))
	for _, p := range put {
		at[name{p.GetNamespace(), p.GetName()}] = p
		if !a.Made.IsZero() {
			p.SetCreationTimestamp(metav1.NewTime(a.Made))
		}
	}
	out := put
	for _, h := range have {
		p, ok := at[name{h.GetNamespace(), h.GetName()}]
		switch {
		case ok:
			p.SetCreationTimestamp(h.GetCreationTimestamp())
		case !a.Whole:
			out = append(out, h)
		}
	}
	return out
}

// Select returns those of o that w would read at its API server.
func (w *Watcher) Select(o *Objects) *Objects {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &Objects{
		Ingresses: selected(&w.ingresses, o.Ingresses),
		Classes:   selected(&w.classes, o.Classes),
		Services:  selected(&w.services, o.Services),
		Slices:    selected(&w.slices, o.Slices),
		Secrets:   selected(&w.secrets, o.Secrets),
	}
}

func selected[T metav1.Object](k *kind[T], all []T) (out []T) {
	for _, o := range all {
		if slices.ContainsFunc(k.stores, func(s *store[T]) bool { return s.takes(o) }) {
			out = append(out, o)
		}
	}
	return out
}
