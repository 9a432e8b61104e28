package kube

import (
	"fmt"
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

// strange refuses annotations of portico's own that there are not: what is
// misspelt might be what keeps strangers out. It tells of those of other
// controllers, which this dialect does not read.
func (t *translation) strange(o *object) {
	var foreign []string
	for _, name := range sortedKeys(o.Annotations) {
		if strings.HasPrefix(name, "portico.io/") && !slices.Contains(ownAnnotations, name) {
			t.refuse(annotation(name), "is no annotation of portico: write one of %s", strings.Join(ownAnnotations, ", "))
		}
		if d := dialectOf(name); d != Spec && d != t.opt.Dialect {
			foreign = append(foreign, name)
		}
	}
	if len(foreign) == 0 {
		return
	}
	others := ""
	if n := len(foreign) - 1; n > 0 {
		others = fmt.Sprintf(", with %d more", n)
	}
	t.tell(o.String(), annotation(foreign[0]), "is for dialect %q%s, and l7.kubernetes.dialect is %q, which does not read it: remove it, or write what this dialect has for it",
		dialectOf(foreign[0]), others, t.opt.Dialect)
}

// dialectOf returns the dialect that an annotation is of alone, Spec for none.
func dialectOf(name string) Dialect {
	switch {
	case strings.HasPrefix(name, nginxPrefix):
		return Nginx
	case strings.HasPrefix(name, traefikOwn), strings.HasPrefix(name, "traefik.frontend."), strings.HasPrefix(name, "traefik.backend."):
		return Traefik17
	}
	return Spec
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
