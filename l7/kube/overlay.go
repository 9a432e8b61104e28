package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Overlay returns what o would be after `kubectl apply` of the manifests in
// files, which hold YAML or JSON by file name, and what is wrong with them. A
// nil o is an empty cluster.
func Overlay(o *Objects, files map[string][]byte) (*Objects, []Problem) {
	read := make(map[string]*file, len(files))
	for name, data := range files {
		p := parseFile(name, data)
		read[name] = &file{manifests: p.manifests, faults: p.faults}
	}
	manifests, faults := merge(read)
	var problems []Problem
	for _, f := range faults {
		problems = append(problems, f.problem())
	}
	out := *newObjects(manifests, nil)
	if o != nil {
		out.Ingresses = overlay(o.Ingresses, out.Ingresses)
		out.Classes = overlay(o.Classes, out.Classes)
		out.Services = overlay(o.Services, out.Services)
		out.Slices = overlay(o.Slices, out.Slices)
		out.Secrets = overlay(o.Secrets, out.Secrets)
	}
	return &out, problems
}

// overlay returns put and those of have that put does not replace. One that
// replaces another is as old as that.
func overlay[T metav1.Object](have, put []T) []T {
	type name struct{ namespace, name string }
	at := make(map[name]T, len(put))
	for _, p := range put {
		at[name{p.GetNamespace(), p.GetName()}] = p
	}
	out := put
	for _, h := range have {
		p, ok := at[name{h.GetNamespace(), h.GetName()}]
		if !ok {
			out = append(out, h)
			continue
		}
		p.SetCreationTimestamp(h.GetCreationTimestamp())
	}
	return out
}
