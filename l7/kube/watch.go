package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// WatchOptions say which API server a Watcher reads, and what of it.
type WatchOptions struct {
	Log *slog.Logger
	// Kubeconfig is a file. Where it is empty, Endpoints count.
	Kubeconfig string
	// Endpoints are the URLs of the API servers of one cluster. The first that
	// answers is used, until it does not.
	Endpoints []string
	// TokenFile holds the bearer token for Endpoints. It is read again as its
	// content is renewed.
	TokenFile string
	// CAFile holds the certificates by which to know Endpoints; empty means
	// those of the system.
	CAFile string
	// Namespaces to read; empty means all.
	Namespaces []string
	// LabelSelector restricts the Ingresses, and nothing else.
	LabelSelector string
	// Snapshot is a file that keeps what is given to Keep; empty for none.
	Snapshot string
	// Restore serves what Snapshot holds for as long as the API server does not
	// answer at first, and goes without what may not be read.
	Restore bool
}

// A Watcher is a Source that follows an API server.
//
// It stands on client-go's reflectors, not on the informers above them: their
// backoff cannot be chosen and may be a minute late after an outage, and their
// queues, indexes and listeners would have no use here.
//
// What an API server said last is served for as long as it is away. An object
// that is deleted, or an endpoint that leaves, is gone with the next Objects.
type Watcher struct {
	reader

	// The reader's mu guards these.
	ingresses kind[*netv1.Ingress]
	classes   kind[*netv1.IngressClass]
	services  kind[*corev1.Service]
	slices    kind[*discoveryv1.EndpointSlice]
	secrets   kind[*corev1.Secret]
	objects   *Objects    // as of the last call of Objects
	gen       Generations // of the kinds, then
	named     mentions    // of Secrets

	client  kubernetes.Interface
	keeper  *keeper // nil without a snapshot
	bridges bool
}

// A reader follows some kinds of objects at an API server.
type reader struct {
	log      *slog.Logger
	server   *server
	core     rest.Interface          // of the core API
	run      []func(context.Context) // what follows them, each for as long as it is to
	changed  chan struct{}
	stir     chan struct{} // rings after changes that Objects does not tell of, too
	synced   chan struct{} // closed once every reading is complete
	troubled chan struct{} // closed once one has failed

	mu       sync.Mutex
	readings []*reading
	modified time.Time
	restored time.Time // when what comes from the disk was last confirmed
	tolerant bool      // refusals count as nothing there
}

// prepare makes the client. It reads the files that o names and connects to
// nothing.
func (w *reader) prepare(o WatchOptions) (*kubernetes.Clientset, error) {
	server, err := newServer(o)
	if err != nil {
		return nil, err
	}
	w.log, w.server = o.Log, server
	w.changed, w.stir = make(chan struct{}, 1), make(chan struct{}, 1)
	w.synced, w.troubled = make(chan struct{}), make(chan struct{})
	client, err := kubernetes.NewForConfigAndClient(server.config, server.http)
	if err != nil {
		return nil, err
	}
	w.core = client.CoreV1().RESTClient()
	return client, nil
}

var _ Source = (*Watcher)(nil)

// NewWatcher returns a Source for an API server. It reads the files that o
// names and connects to nothing.
func NewWatcher(o WatchOptions) (*Watcher, error) {
	selector, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("l7.kubernetes.label_selector %q: %w", o.LabelSelector, err)
	}
	w := &Watcher{bridges: o.Restore}
	client, err := w.prepare(o)
	if err != nil {
		return nil, err
	}
	w.client = client
	if o.Snapshot != "" {
		w.keeper = &keeper{log: o.Log, path: o.Snapshot, servers: w.server.all(), latest: make(chan kept, 1)}
	}
	r := &w.reader
	net, core, discovery := client.NetworkingV1().RESTClient(), client.CoreV1().RESTClient(), client.DiscoveryV1().RESTClient()
	namespaces := o.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, ns := range namespaces {
		follow(r, &w.ingresses, query{client: net, resource: "ingresses", namespace: ns, labels: selector.String()}, func(in *netv1.Ingress) bool {
			return selector.Matches(labels.Set(in.Labels))
		})
		follow(r, &w.services, query{client: core, resource: "services", namespace: ns}, keepAll)
		followSlices(r, &w.slices, discovery, ns)
		// Asked for by type, as a cluster may hold thousands of others, Helm's
		// releases above all.
		for _, t := range []corev1.SecretType{corev1.SecretTypeTLS, corev1.SecretTypeOpaque} {
			follow(r, &w.secrets, query{client: core, resource: "secrets", namespace: ns, fields: "type=" + string(t)}, keepUseful(t))
		}
	}
	// An IngressClass belongs to the cluster: who may read some namespaces only
	// goes without.
	follow(r, &w.classes, query{client: net, resource: "ingressclasses", optional: true}, keepAll)
	return w, nil
}

// Run follows the API server until ctx ends, for as long as it may be away. It
// can be called once.
func (w *Watcher) Run(ctx context.Context, ready func()) error {
	var group sync.WaitGroup
	if w.bridges {
		group.Go(func() { w.bridge(ctx) })
	}
	if w.keeper != nil {
		group.Go(func() { w.keeper.run(ctx, w.confirmed) })
	}
	err := w.reader.Run(ctx, ready)
	group.Wait()
	return err
}

// Run is that of a Source.
func (w *reader) Run(ctx context.Context, ready func()) error {
	// The reflectors log to klog; what matters of it, note says.
	quiet := klog.NewContext(ctx, klog.Logger{})
	var group sync.WaitGroup
	for _, run := range w.run {
		group.Go(func() { run(quiet) })
	}
	select {
	case <-w.synced:
		ready()
	case <-ctx.Done():
	}
	group.Wait()
	w.server.close()
	return nil
}

// Changed rings when there is something new.
func (w *reader) Changed() <-chan struct{} { return w.changed }

// Objects returns what the API server said last, nil until it has said
// everything once.
func (w *Watcher) Objects() *Objects {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.collect()
}

// collect brings objects up to date: only now, as a burst of changes that
// nobody reads in between then costs one copy. mu is held.
func (w *Watcher) collect() *Objects {
	select {
	case <-w.synced:
	default:
		return nil
	}
	gen := Generations{
		Ingresses: w.ingresses.gen,
		Classes:   w.classes.gen,
		Services:  w.services.gen,
		Slices:    w.slices.gen,
		Secrets:   w.secrets.gen,
	}
	last, before := w.objects, w.gen
	if last != nil && gen == before {
		return last
	}
	o := &Objects{
		Ingresses: w.ingresses.all(),
		Classes:   w.classes.all(),
		Services:  w.services.all(),
		Slices:    w.slices.all(),
		Gen:       gen,
	}
	if others := w.named.update(o.Ingresses, o.Services); last == nil || others || gen.Secrets != before.Secrets {
		for _, s := range w.secrets.all() {
			if w.named.of[s.Namespace+"/"+s.Name] > 0 {
				o.Secrets = append(o.Secrets, s)
			}
		}
	} else {
		o.Secrets = last.Secrets
	}
	if last != nil { // those that nobody names come and go without a word
		o.Gen.Secrets = last.Gen.Secrets
		if !slices.Equal(last.Secrets, o.Secrets) {
			o.Gen.Secrets++
		}
	}
	w.objects, w.gen = o, gen
	return w.objects
}

// ingressesNow returns the Ingresses with their latest status.
func (w *Watcher) ingressesNow() []*netv1.Ingress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ingresses.all()
}

// Status describes the watch. Err is that of the reading which has failed for
// the longest.
func (w *Watcher) Status() SourceStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	objects := w.collect()
	s := SourceStatus{
		From:    w.server.current(),
		Synced:  objects != nil,
		Changed: w.modified,
		Counts:  objects.Count(),
	}
	if w.keeper != nil {
		if fault := w.keeper.fault.Load(); fault != nil {
			s.Unsaved = *fault
		}
	}
	failing := w.failing()
	if failing != nil {
		s.Err, s.ErrSince = failing.err, failing.since
	}
	for _, r := range w.readings {
		if r.restored {
			s.Restored = w.restored
		}
		if r.refused != "" && r != failing {
			s.Problems = append(s.Problems, Problem{Object: r.what, Text: r.refused})
		}
		if r.instead != "" {
			s.Problems = append(s.Problems, Problem{Object: r.what, Text: r.instead})
		}
	}
	return s
}
