package kube

import (
	"maps"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/route"
)

// MiddlewaresAnnotation names, between commas, the middlewares of the
// configuration that the requests of an Ingress pass, in this order, behind what
// the dialect's own annotations ask for.
const MiddlewaresAnnotation = "portico.io/middlewares"

// ownAnnotations are all of portico's own for Ingresses.
var ownAnnotations = []string{MiddlewaresAnnotation, PrefixSlashAnnotation, PrefixRestoreAnnotation}

// strange tells of annotations of portico's own that there are not: what is
// misspelt might be what keeps strangers out.
func (t *translation) strange(o *object) {
	for _, name := range slices.Sorted(maps.Keys(o.Annotations)) {
		if strings.HasPrefix(name, "portico.io/") && !slices.Contains(ownAnnotations, name) {
			t.tell(o.String(), annotation(name), "is no annotation of portico, and is passed over: write one of %s", strings.Join(ownAnnotations, ", "))
		}
	}
}

// named appends the middlewares that o names to the steps of its specs. One that
// does not exist might be what keeps strangers out.
func (t *translation) named(o *object, specs []route.Spec) {
	value, ok := o.Annotations[MiddlewaresAnnotation]
	if !ok {
		return
	}
	var steps []route.Step
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		step := t.opt.Middlewares[name]
		if step == nil {
			t.refuse(annotation(MiddlewaresAnnotation), "%q is no [[l7.middleware]] of the configuration: add it there, or correct the name", name)
			return
		}
		steps = append(steps, step)
	}
	for i := range specs {
		specs[i].Steps = slices.Concat(specs[i].Steps, steps)
	}
}
