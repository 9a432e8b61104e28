package kube

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// eventAfter is how long a problem has to stand before its object gets an
	// Event: an Ingress is often there a moment before its Service.
	eventAfter = 5 * time.Second
	// eventEvery repeats the Event of a problem that still stands, as an API
	// server forgets Events after an hour.
	eventEvery = 30 * time.Minute
	// maxNote is how long the API server lets a note be, in bytes.
	maxNote = 1024
	// maxEvents bounds what is written in one go.
	maxEvents = 50
	// eventPause is how long nothing is written where nothing is taken.
	eventPause = 30 * time.Second
)

// A told is a problem and what is known of its Event.
type told struct {
	problem Problem
	since   time.Time                // when it was first seen
	written time.Time                // when its Event was, the zero time before
	about   []corev1.ObjectReference // who got it
}

// A report is an Event to write.
type report struct {
	problem Problem
	// resolved says that the problem is none any more.
	resolved bool
}

// A ledger is which problems there are and which have been reported.
type ledger struct {
	told map[Problem]*told
	// pause is until when nothing is due, because of err.
	pause time.Time
	err   error
}

// due brings the ledger up to date with the problems there are, and returns what
// to report now: problems in their order, and then those that are gone.
func (l *ledger) due(problems []Problem, now time.Time) (out []report) {
	standing := make(map[Problem]bool, len(problems))
	for _, p := range problems {
		if standing[p] {
			continue
		}
		standing[p] = true
		t := l.told[p]
		if t == nil {
			t = &told{problem: p, since: now}
			l.told[p] = t
		}
		if now.Sub(t.since) >= eventAfter && (t.written.IsZero() || now.Sub(t.written) >= eventEvery) && len(out) < maxEvents {
			out = append(out, report{problem: p})
		}
	}
	for p, t := range l.told {
		if standing[p] {
			continue
		}
		if t.written.IsZero() {
			delete(l.told, p)
		} else if len(out) < maxEvents {
			out = append(out, report{problem: p, resolved: true})
		}
	}
	if now.Before(l.pause) {
		return nil
	}
	return out
}

// done notes that r was written for all, or need not be any more.
func (l *ledger) done(r report, all []corev1.ObjectReference, now time.Time) {
	if r.resolved {
		delete(l.told, r.problem)
	} else if t := l.told[r.problem]; t != nil {
		t.written, t.about = now, all
	}
}

// concerned returns the objects of o that r is for. That a problem is none any
// more concerns those who were told of it as well: the Ingresses that led to a
// Service which did not exist.
func (l *ledger) concerned(r report, o *Objects) []corev1.ObjectReference {
	out := o.references(r.problem)
	if t := l.told[r.problem]; r.resolved && t != nil {
		for _, about := range t.about {
			if !slices.ContainsFunc(out, sameObject(about)) && o.has(about) {
				out = append(out, about)
			}
		}
	}
	return out
}

func sameObject(a corev1.ObjectReference) func(corev1.ObjectReference) bool {
	return func(b corev1.ObjectReference) bool { return a.UID == b.UID }
}

// has reports whether the very object is still there.
func (o *Objects) has(about corev1.ObjectReference) bool {
	name := about.Name
	if about.Namespace != "" {
		name = about.Namespace + "/" + name
	}
	return slices.ContainsFunc(o.references(Problem{Object: about.Kind + " " + name}), sameObject(about))
}

// event is what r says about an object. Its name depends on that alone, so that
// whoever writes next, or another edge, finds it and counts on.
func (r report) event(about corev1.ObjectReference, identity string, now time.Time) *eventsv1.Event {
	note := r.problem.Text
	if r.problem.Field != "" {
		note = r.problem.Field + ": " + note
	}
	if !r.problem.of(about.Kind, about.Namespace, about.Name) {
		note = r.problem.Object + ": " + note
	}
	e := &eventsv1.Event{
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: Controller,
		ReportingInstance:   identity,
		Type:                corev1.EventTypeWarning,
		Reason:              "Problem",
		Action:              "Route",
		Regarding:           about,
	}
	if r.resolved {
		e.Type, e.Reason = corev1.EventTypeNormal, "Resolved"
		note = "no longer: " + note
	}
	e.Note = cut(note, maxNote)
	sum := fnv.New64a()
	fmt.Fprint(sum, about.UID, e.Reason, note)
	// A name has room for 253 bytes, and the last of an object's own may be
	// followed by a dot.
	e.Name = fmt.Sprintf("%s.%016x", strings.TrimRight(cut(about.Name, 230), "-."), sum.Sum64())
	e.Namespace = about.Namespace
	if e.Namespace == "" {
		e.Namespace = metav1.NamespaceDefault
	}
	return e
}

// cut returns the first n bytes of s, without half a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// maxNaming bounds who is told of one Service that does not exist.
const maxNaming = 10

// references finds the object that a problem is about, and for a Service that
// does not exist the Ingresses that lead there, the oldest first. There is none
// of what is not in the API, such as a line of a file, or not any more.
func (o *Objects) references(p Problem) []corev1.ObjectReference {
	kind, path, _ := strings.Cut(p.Object, " ")
	namespace, name, namespaced := strings.Cut(path, "/")
	if !namespaced {
		namespace, name = "", path
	}
	switch kind {
	case "Ingress":
		return find(o.Ingresses, "networking.k8s.io/v1", kind, namespace, name)
	case "IngressClass":
		return find(o.Classes, "networking.k8s.io/v1", kind, namespace, name)
	case "Service":
		if found := find(o.Services, "v1", kind, namespace, name); found != nil {
			return found
		}
		return o.naming(namespace, name)
	case "EndpointSlice":
		return find(o.Slices, "discovery.k8s.io/v1", kind, namespace, name)
	case "Secret":
		return find(o.Secrets, "v1", kind, namespace, name)
	}
	return nil
}

// naming are the Ingresses that lead to a Service.
func (o *Objects) naming(namespace, service string) (out []corev1.ObjectReference) {
	var found []*netv1.Ingress
	for _, in := range o.Ingresses {
		if in.Namespace == namespace && leadsTo(in, service) {
			found = append(found, in)
		}
	}
	slices.SortFunc(found, func(a, b *netv1.Ingress) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	for _, in := range found[:min(len(found), maxNaming)] {
		out = append(out, refer(in, "networking.k8s.io/v1", "Ingress"))
	}
	return out
}

func leadsTo(in *netv1.Ingress, service string) bool {
	to := func(b *netv1.IngressBackend) bool { return b != nil && b.Service != nil && b.Service.Name == service }
	return to(in.Spec.DefaultBackend) || slices.ContainsFunc(in.Spec.Rules, func(r netv1.IngressRule) bool {
		return r.HTTP != nil && slices.ContainsFunc(r.HTTP.Paths, func(p netv1.HTTPIngressPath) bool { return to(&p.Backend) })
	})
}

// of reports whether p is about an object.
func (p Problem) of(kind, namespace, name string) bool {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return p.Object == kind+" "+name
}

func find[T metav1.Object](all []T, version, kind, namespace, name string) []corev1.ObjectReference {
	for _, o := range all {
		if o.GetName() == name && o.GetNamespace() == namespace {
			return []corev1.ObjectReference{refer(o, version, kind)}
		}
	}
	return nil
}

func refer[T metav1.Object](o T, version, kind string) corev1.ObjectReference {
	return corev1.ObjectReference{
		APIVersion: version, Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(),
		UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
	}
}
