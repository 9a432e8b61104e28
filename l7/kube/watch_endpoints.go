package kube

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// slicesPath is where an API server that has EndpointSlices tells of them.
const slicesPath = "/apis/discovery.k8s.io/v1"

// errOther ends the use of one kind for the other.
var errOther = errors.New("the other kind is read")

// followSlices fills k with the EndpointSlices of a namespace, and where the API
// server has none, with what Endpoints come to: before Kubernetes 1.21, or where
// that API is switched off. When it has been upgraded, the next listing or watch
// begins with the slices.
func followSlices(w *reader, k *kind[*discoveryv1.EndpointSlice], client rest.Interface, namespace string) {
	q := query{client: client, resource: "endpointslices", namespace: namespace, stoodIn: true}
	old := query{client: w.core, resource: "endpoints", namespace: namespace}
	s := newStore(w, k, q, keepAll)
	w.run = append(w.run, func(ctx context.Context) {
		for ctx.Err() == nil {
			turn, end := context.WithCancel(ctx)
			lw := unlessMissing(w, s.reading, q.source(w, s.reading), end)
			newReflector(s.reading.what, lw, &discoveryv1.EndpointSlice{}, s).RunWithContext(turn)
			end()

			turn, end = context.WithCancel(ctx)
			lw = untilThere(old.source(w, s.reading), client, end)
			//nolint:staticcheck // old API servers have nothing else
			newReflector(old.what(), lw, &corev1.Endpoints{}, &endpointsStore{store: s}).RunWithContext(turn)
			end()
			if ctx.Err() == nil {
				w.standIn(s.reading, "")
			}
		}
	})
}

// unlessMissing lists and watches, and calls end where the API server does not
// know the kind.
func unlessMissing(w *reader, r *reading, lw *cache.ListWatch, end func()) *cache.ListWatch {
	missing := func(err error) bool {
		if !apierrors.IsNotFound(err) {
			return false
		}
		w.standIn(r, err.Error())
		end()
		return true
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			l, err := lw.ListWithContextFunc(ctx, o)
			if missing(err) {
				return nil, errOther
			}
			return l, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := lw.WatchFuncWithContext(ctx, o)
			if missing(err) {
				return nil, errOther
			}
			return events, err
		},
	}
}

// untilThere lists and watches, and calls end where the API server has
// EndpointSlices after all.
func untilThere(lw *cache.ListWatch, client rest.Interface, end func()) *cache.ListWatch {
	there := func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, listTimeout)
		defer cancel()
		if client.Get().AbsPath(slicesPath).Do(ctx).Error() != nil {
			return false
		}
		end()
		return true
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			if there(ctx) {
				return nil, errOther
			}
			return lw.ListWithContextFunc(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			if there(ctx) {
				return nil, errOther
			}
			return lw.WatchFuncWithContext(ctx, o)
		},
	}
}

// standIn notes why Endpoints stand in for EndpointSlices, or by "" that they do
// so no more.
func (w *reader) standIn(r *reading, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if why != "" {
		why += "; Endpoints stand in for them, which do not tell of Pods that terminate"
	}
	if r.instead == why {
		return
	}
	r.instead = why
	if why == "" {
		w.log.Info("the kubernetes API has EndpointSlices now", "from", w.server.current())
	} else {
		w.log.Warn("the kubernetes API has no EndpointSlices", "err", why)
	}
}

// An endpointsStore puts what Endpoints come to into a store of EndpointSlices.
type endpointsStore struct {
	store *store[*discoveryv1.EndpointSlice]
	// of are the slices of each object.
	of map[cache.ObjectName][]*discoveryv1.EndpointSlice
}

var _ cache.ReflectorStore = (*endpointsStore)(nil)

// Add takes an object as it is now.
func (s *endpointsStore) Add(object any) error {
	name, now, err := convert(object)
	if err != nil {
		return err
	}
	before := s.of[name]
	s.of[name] = now
	for _, slice := range now {
		err = errors.Join(err, s.store.Add(slice))
	}
	for _, slice := range before[min(len(now), len(before)):] { // they have names by their places
		err = errors.Join(err, s.store.Delete(slice))
	}
	return err
}

// Update is Add: what was there before does not matter.
func (s *endpointsStore) Update(object any) error { return s.Add(object) }

// Delete forgets an object.
func (s *endpointsStore) Delete(object any) error {
	name, _, err := convert(object)
	for _, slice := range s.of[name] {
		err = errors.Join(err, s.store.Delete(slice))
	}
	delete(s.of, name)
	return err
}

// Replace takes all objects that there are.
func (s *endpointsStore) Replace(list []any, version string) error {
	of := make(map[cache.ObjectName][]*discoveryv1.EndpointSlice, len(list))
	var all []any
	for _, object := range list {
		name, now, err := convert(object)
		if err != nil {
			return err
		}
		of[name] = now
		for _, slice := range now {
			all = append(all, slice)
		}
	}
	s.of = of
	return s.store.Replace(all, version)
}

// Resync has nothing to do.
func (s *endpointsStore) Resync() error { return nil }

// convert returns the slices of an object, whose versions are its own.
func convert(object any) (cache.ObjectName, []*discoveryv1.EndpointSlice, error) {
	e, ok := object.(*corev1.Endpoints) //nolint:staticcheck // as above
	if !ok {
		return cache.ObjectName{}, nil, fmt.Errorf("endpoints: got %T", object)
	}
	all := slicesOf(e)
	for _, s := range all {
		s.UID, s.ResourceVersion = e.UID, e.ResourceVersion
	}
	return cache.MetaObjectToName(e), all, nil
}
