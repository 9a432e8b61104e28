package kube

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// maxRetry bounds the pause between two tries to reach the API server,
	// with as much again of jitter at most. client-go's own 30 seconds would
	// leave an edge that long on dead endpoints after an outage.
	maxRetry = time.Second
	// listTimeout bounds one listing; a watch has no bound but its own.
	listTimeout = time.Minute
	// minWatch is how long a watch lasts at least, twice that at most. Beginning
	// anew costs little, and it is the only way to know one that has come to hang
	// in a balancer before the API server.
	minWatch = time.Minute
)

// A query is what one reflector asks for.
type query struct {
	client                              cache.Getter
	resource, namespace, labels, fields string
	optional                            bool // its refusal is no failure
	stoodIn                             bool // another kind is read where the API server does not know this one
}

// A reading is how one reflector fares. The reader's mu guards it.
type reading struct {
	what     string // for people
	optional bool
	synced   bool // was complete once, or is done without
	restored bool // comes from the disk
	err      string
	since    time.Time // when err began
	refused  string    // why it may not be read
	instead  string    // why another kind is read in its place
}

// follow adds a reflector for q that fills k with the objects that keep lets
// pass; keep may take from an object what is not needed.
func follow[T metav1.Object](w *reader, k *kind[T], q query, keep func(T) bool) {
	s := newStore(w, k, q, keep)
	var sample T
	w.run = append(w.run, newReflector(s.reading.what, q.source(w, s.reading), sample, s).RunWithContext)
}

// what q asks for, for people.
func (q query) what() string {
	what := q.resource
	if q.labels != "" {
		what += " with " + q.labels
	}
	if q.fields != "" {
		what += " with " + q.fields
	}
	if q.namespace != "" {
		what += " in namespace " + q.namespace
	}
	return what
}

// newStore adds a reading for q, and a store for it to k.
func newStore[T metav1.Object](w *reader, k *kind[T], q query, keep func(T) bool) *store[T] {
	r := &reading{what: q.what(), optional: q.optional}
	w.readings = append(w.readings, r)
	s := &store[T]{
		w: w, reading: r, kind: k, keep: keep, objects: make(map[cache.ObjectName]T),
		namespace: q.namespace,
	}
	k.stores = append(k.stores, s)
	return s
}

func newReflector(name string, lw cache.ListerWatcher, sample any, s cache.ReflectorStore) *cache.Reflector {
	return cache.NewReflectorWithOptions(lw, sample, s, cache.ReflectorOptions{
		Name:            name,
		Logger:          &klog.Logger{},
		MinWatchTimeout: minWatch,
		Backoff:         &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 10, Cap: maxRetry, Jitter: 1},
	})
}

// source asks the API server and notes how that went.
func (q query) source(w *reader, r *reading) *cache.ListWatch {
	lw := cache.NewFilteredListWatchFromClient(q.client, q.resource, q.namespace, func(o *metav1.ListOptions) {
		o.LabelSelector, o.FieldSelector = q.labels, q.fields
	})
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			ctx, cancel := context.WithTimeout(ctx, listTimeout)
			defer cancel()
			list, err := lw.ListWithContext(ctx, o)
			if apierrors.IsNotFound(err) {
				err = w.tooOld(ctx, q.resource, err)
			}
			if err != nil && !q.missing(err) { // success counts once changes are told as well
				w.note(r, err)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := lw.WatchWithContext(ctx, o)
			if apierrors.IsNotFound(err) {
				err = w.tooOld(ctx, q.resource, err)
			}
			if !q.missing(err) {
				w.note(r, err)
			}
			if err != nil {
				return nil, err
			}
			return bound(events, o), nil
		},
	}
}

// missing reports whether err says no more than that another kind is to be read.
func (q query) missing(err error) bool { return q.stoodIn && apierrors.IsNotFound(err) }

// note records how a request went. The log has the first failure and the last
// recovery, not every try in between.
func (w *reader) note(r *reading, err error) {
	switch {
	case errors.Is(err, context.Canceled): // we are stopping
		return
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err), apierrors.IsInvalid(err):
		return // the reflector now asks in another way
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.failing()
	switch {
	case err == nil:
		r.err, r.since, r.refused = "", time.Time{}, ""
	case r.optional && apierrors.IsForbidden(err):
		r.err, r.since, r.refused = "", time.Time{}, explain(err)
		w.without(r)
	default:
		r.err = r.what + ": " + explain(err)
		if r.since.IsZero() {
			r.since = time.Now()
		}
		r.refused = ""
		if apierrors.IsForbidden(err) {
			r.refused = explain(err)
			if w.tolerant {
				w.without(r)
			}
		}
		w.trouble()
	}
	switch after := w.failing(); {
	case before == nil && after != nil:
		w.log.Warn("kubernetes API not readable", "err", after.err)
	case before != nil && after == nil:
		w.log.Info("kubernetes API readable again", "from", w.server.current())
	}
}

// failing returns the reading that has failed for the longest, nil when none
// does. mu is held.
func (w *reader) failing() (first *reading) {
	for _, r := range w.readings {
		if r.err != "" && (first == nil || r.since.Before(first.since)) {
			first = r
		}
	}
	return first
}

// trouble lets bridge know of the first failure. mu is held.
func (w *reader) trouble() {
	select {
	case <-w.troubled:
	default:
		close(w.troubled)
	}
}

// markRead notes that the API server has said everything of r. mu is held.
func (w *reader) markRead(r *reading) {
	w.markSynced(r)
	if !r.restored {
		return
	}
	r.restored = false
	if !slices.ContainsFunc(w.readings, func(r *reading) bool { return r.restored }) {
		w.log.Info("kubernetes API has answered, nothing that is served is from the disk any more", "from", w.server.current())
	}
}

// markSynced notes that r is complete. mu is held.
func (w *reader) markSynced(r *reading) {
	if r.synced {
		return
	}
	r.synced = true
	for _, r := range w.readings {
		if !r.synced {
			return
		}
	}
	close(w.synced)
}

// explain says what cures err, and leaves out the URL with its dozen
// parameters.
func explain(err error) string {
	var u *url.Error
	switch {
	case apierrors.IsForbidden(err):
		return err.Error() + ": grant get, list and watch, as packaging/kubernetes/rbac.yaml does"
	case apierrors.IsUnauthorized(err):
		return err.Error() + ": the API server does not know the token or client certificate, renew it"
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}
