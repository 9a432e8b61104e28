package kube

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

const (
	// leaseDuration is how long a writer that is gone without a word is waited
	// for, leaseRenew how long it tries to stay, leaseRetry how often all look.
	leaseDuration = 15 * time.Second
	leaseRenew    = 10 * time.Second
	leaseRetry    = 2 * time.Second
	// leaseRequest bounds one request, so that a stop never waits for an API
	// server that does not answer.
	leaseRequest = 2 * time.Second
)

// A lease decides which one of all edges writes.
type lease struct {
	lock *briefLock
	// terms has the context of each time this edge is elected.
	terms chan context.Context
}

func newLease(client kubernetes.Interface, namespace, name, identity string, note func(error)) *lease {
	return &lease{
		lock: &briefLock{LeaseLock: resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		}, note: note},
		terms: make(chan context.Context),
	}
}

// run stands for election until ctx ends, and then gives the lease back. elected
// is told who is, or nobody when this edge is not any more.
func (l *lease) run(ctx context.Context, elected func(holder string)) error {
	for ctx.Err() == nil {
		e, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock:            l.lock,
			LeaseDuration:   leaseDuration,
			RenewDeadline:   leaseRenew,
			RetryPeriod:     leaseRetry,
			ReleaseOnCancel: true,
			Name:            l.lock.LeaseMeta.Name,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(term context.Context) {
					select {
					case l.terms <- term:
					case <-term.Done():
					}
				},
				OnStoppedLeading: func() { elected("") },
				OnNewLeader:      elected,
			},
		})
		if err != nil {
			return err
		}
		e.Run(klog.NewContext(ctx, klog.Logger{})) // what matters of its log, note says
	}
	return nil
}

// A briefLock gives up soon, and tells why.
type briefLock struct {
	resourcelock.LeaseLock
	note func(error)
}

func (b *briefLock) Get(ctx context.Context) (record *resourcelock.LeaderElectionRecord, raw []byte, err error) {
	err = b.brief(ctx, func(ctx context.Context) error {
		record, raw, err = b.LeaseLock.Get(ctx)
		return err
	})
	return record, raw, err
}

func (b *briefLock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return b.brief(ctx, func(ctx context.Context) error { return b.LeaseLock.Create(ctx, r) })
}

func (b *briefLock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return b.brief(ctx, func(ctx context.Context) error { return b.LeaseLock.Update(ctx, r) })
}

func (b *briefLock) brief(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRequest)
	defer cancel()
	err := f(ctx)
	b.note(err)
	return err
}
