package acme

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// leaseName is the Lease whose holder orders.
const leaseName = "portico-acme"

// What client-go's own controllers take: another edge orders 15 seconds after
// the last sign of life.
const (
	leaseLife  = 15 * time.Second
	leaseRenew = 10 * time.Second
	leaseRetry = 2 * time.Second
)

// reflector follows the Secrets with our label.
func (s *Secrets) reflector() *cache.Reflector {
	secrets := s.Client.CoreV1().Secrets(s.Namespace)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = kindLabel
			list, err := secrets.List(ctx, o)
			if err != nil {
				s.note(err)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = kindLabel
			events, err := secrets.Watch(ctx, o)
			s.note(err)
			return events, err
		},
	}
	// An outage is over within a second or two, as for all that is watched.
	return cache.NewReflectorWithOptions(lw, &corev1.Secret{}, told{s}, cache.ReflectorOptions{
		Name: "acme", Logger: &klog.Logger{},
		Backoff: &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 10, Cap: time.Second, Jitter: 1},
	})
}

// note keeps how the last request went, and logs the first failure alone.
func (s *Secrets) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	err = explain(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err == nil {
		s.Log.Warn("shared certificates cannot be read, those known are served", "namespace", s.Namespace, "err", err)
	}
	s.err = err
}

// contend stands for election again and again. It returns when ctx has ended and
// lead has returned.
func (s *Secrets) contend(ctx context.Context, lead func(context.Context)) error {
	var group sync.WaitGroup
	defer group.Wait()
	for ctx.Err() == nil {
		started, ended := make(chan context.Context, 1), make(chan struct{})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Name: leaseName,
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Name: leaseName, Namespace: s.Namespace},
				Client:     s.Client.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: s.Identity},
			},
			LeaseDuration: leaseLife, RenewDeadline: leaseRenew, RetryPeriod: leaseRetry,
			// What lead does after its context has ended spoils nothing that the
			// next one does: items are whole, and read again before an order.
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) { started <- ctx },
				OnStoppedLeading: func() {},
				OnNewLeader:      func(identity string) { s.leader.Store(&identity) },
			},
		})
		if err != nil {
			return err
		}
		group.Go(func() {
			defer close(ended)
			elector.Run(ctx)
		})
		select {
		case leading := <-started:
			lead(leading)
			<-ended
		case <-ended:
		}
	}
	return nil
}
