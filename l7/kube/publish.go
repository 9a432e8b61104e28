package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// manager is whom the API server names as the one who wrote.
	manager = "portico"
	// writeTimeout bounds one request that writes.
	writeTimeout = 10 * time.Second
	// passEvery is how long changes are collected, passIdle how often what is
	// due by time is looked for.
	passEvery = time.Second
	passIdle  = 5 * time.Second
)

// PublishOptions say what a Publisher writes.
type PublishOptions struct {
	Log *slog.Logger
	// Addresses are the IP addresses and host names that the status of served
	// Ingresses gets; none leaves it alone.
	Addresses []string
	// Clear takes them away when the last edge stops.
	Clear bool
	// Events has problems told as Events of their objects.
	Events bool
	// Namespace is where the Lease is that elects who writes, Lease its name.
	Namespace, Lease string
	// Node is who this edge is.
	Node string
}

// A Publisher writes to the API server what the edges have to say about its
// objects: where Ingresses are served, and what is wrong with them. Of all
// edges one does so.
type Publisher struct {
	opt      PublishOptions
	log      *slog.Logger
	watcher  *Watcher
	client   kubernetes.Interface
	identity string
	lease    *lease
	report   atomic.Pointer[Report]
	bell     chan struct{}

	mu     sync.Mutex
	status PublisherStatus
	faults [2]writeFault
}

// What can fail, each by itself.
const (
	electing = iota
	writing
)

// A writeFault is what fails now, and since when; the zero value is nothing.
type writeFault struct {
	text  string
	since time.Time
}

// A Report is what this edge has to say.
type Report struct {
	// Objects are those that were built from.
	Objects *Objects
	// Served are the Ingresses whose routes are live here.
	Served []*netv1.Ingress
	// Uncertified are those of Served that wait for a certificate: they keep the
	// addresses that they have, and get none.
	Uncertified []*netv1.Ingress
	// Problems are the faults in Objects.
	Problems []Problem
}

// PublisherStatus describes a Publisher.
type PublisherStatus struct {
	// Writer is the edge that writes, empty before it is known; Elected says
	// that it is this one.
	Writer  string `json:"writer"`
	Elected bool   `json:"elected"`
	// Published is how many Ingresses have our addresses, while Elected;
	// Withheld is how many get none before they have their certificates.
	Published int `json:"published"`
	Withheld  int `json:"withheld,omitempty"`
	// Err is why something could not be written, since ErrSince.
	Err      string    `json:"error,omitempty"`
	ErrSince time.Time `json:"error_since,omitzero"`
}

// NewPublisher returns one for the API server that w follows.
func NewPublisher(w *Watcher, o PublishOptions) *Publisher {
	p := &Publisher{
		opt: o, log: o.Log, watcher: w, client: w.client, bell: make(chan struct{}, 1),
		// Two processes of a node follow each other, and a lease is one's.
		identity: fmt.Sprintf("%.100s_%08x", o.Node, rand.Uint32()),
	}
	p.lease = newLease(w.client, o.Namespace, o.Lease, p.identity, p.noteLease)
	return p
}

// Set replaces what there is to say. It does not block.
func (p *Publisher) Set(r Report) {
	p.report.Store(&r)
	ring(p.bell)
}

// Status describes p now.
func (p *Publisher) Status() PublisherStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	for _, f := range p.faults {
		if s.Err == "" {
			s.Err, s.ErrSince = f.text, f.since
		}
	}
	return s
}

// Run writes until ctx ends. It stands for election once there is something to
// say, so that nobody is kept waiting for an edge without routes.
func (p *Publisher) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.bell:
		ring(p.bell)
	}
	failed := make(chan error, 1)
	go func() { failed <- p.lease.run(ctx, p.elected) }()
	var last *statuses // of the term that the end of ctx ended
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case term := <-p.lease.terms:
			s := newStatuses(addresses(p.opt.Addresses))
			p.lead(term, s)
			if ctx.Err() != nil {
				last = s
			}
		}
	}
	err := <-failed
	if last != nil && p.opt.Clear {
		p.farewell(last)
	}
	return err
}

// elected notes who writes.
func (p *Publisher) elected(holder string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Writer, p.status.Elected = holder, holder == p.identity
	if !p.status.Elected {
		p.status.Published, p.status.Withheld = 0, 0
	}
	p.log.Info("edge that writes to the kubernetes API", "writer", holder, "this", p.status.Elected)
}

// lead writes what there is to say, until term ends.
func (p *Publisher) lead(term context.Context, s *statuses) {
	events := &ledger{told: map[Problem]*told{}}
	tick := time.NewTicker(passIdle)
	defer tick.Stop()
	for {
		p.note(writing, errors.Join(p.publish(term, s), p.tell(term, events, s.problems())))
		if !sleep(term, passEvery) {
			return
		}
		select {
		case <-term.Done():
			return
		case <-p.bell:
		case <-p.watcher.stir:
		case <-tick.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// publish writes the addresses that differ now.
func (p *Publisher) publish(ctx context.Context, s *statuses) error {
	if len(s.want) == 0 {
		return nil
	}
	writes := s.diff(p.report.Load(), p.watcher.ingressesNow(), time.Now())
	if n := p.apply(ctx, s, writes); n > 0 {
		p.log.Info("addresses published", "addresses", p.opt.Addresses, "ingresses", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Published, p.status.Withheld = len(s.ours), len(s.withheld)
	return s.err()
}

// farewell takes the addresses away, unless another edge writes within the time
// it takes to notice that the lease is free.
func (p *Publisher) farewell(s *statuses) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*leaseRetry+writeTimeout)
	defer cancel()
	for range 3 {
		if !sleep(ctx, leaseRetry) {
			return
		}
		l, err := p.client.CoordinationV1().Leases(p.opt.Namespace).Get(ctx, p.opt.Lease, metav1.GetOptions{})
		if err != nil {
			p.log.Warn("addresses stay published", "err", err)
			return
		}
		if holder := l.Spec.HolderIdentity; holder != nil && *holder != "" {
			p.log.Info("addresses stay published for the other edges", "writer", *holder)
			return
		}
	}
	n := p.apply(ctx, s, s.clear(p.watcher.ingressesNow()))
	p.log.Info("addresses taken away, as this was the last edge", "ingresses", n, "err", s.err())
}

func (p *Publisher) noteLease(err error) {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return // there is none yet, or another was faster
	}
	p.note(electing, err)
}

// note logs why something fails when that begins, and when it works again.
func (p *Publisher) note(what int, err error) {
	if errors.Is(err, context.Canceled) {
		return // we are stopping
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.faults[what]
	switch {
	case err == nil && before.text != "":
		p.log.Info("kubernetes API takes what is written again")
		p.faults[what] = writeFault{}
	case err != nil && before.text != explainWrite(err):
		p.log.Warn("kubernetes API does not take what is written", "err", explainWrite(err))
		if before.since.IsZero() {
			before.since = time.Now()
		}
		p.faults[what] = writeFault{explainWrite(err), before.since}
	}
}

// explainWrite says what cures err.
func explainWrite(err error) string {
	if apierrors.IsForbidden(err) {
		return err.Error() + ": grant it, as packaging/kubernetes/rbac.yaml does, or set l7.kubernetes.events = false and publish = []"
	}
	return explain(err)
}
