package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// rewriteEvery is how often the address of one Ingress is written at most:
// another controller that wants its own there must not draw us into a race.
const rewriteEvery = 30 * time.Second

const (
	// patches is how many requests are under way at once.
	patches = 8
	// maxFailures is after how many the rest is left for the next time: what is
	// forbidden ten thousand times is asked for a few times only.
	maxFailures = 20
)

var errLater = errors.New("left for the next time")

// Served returns the Ingresses of o that Routes reads with these options.
func Served(o *Objects, opt Options) []*netv1.Ingress {
	if o == nil {
		return nil
	}
	classes := newClasses(o.Classes, opt.IngressClass)
	return slices.DeleteFunc(slices.Clone(o.Ingresses), func(in *netv1.Ingress) bool { return !classes.serve(in) })
}

// addresses is what a status says for addresses and host names.
func addresses(names []string) []netv1.IngressLoadBalancerIngress {
	out := []netv1.IngressLoadBalancerIngress{}
	for _, n := range names {
		if _, err := netip.ParseAddr(n); err == nil {
			out = append(out, netv1.IngressLoadBalancerIngress{IP: n})
		} else {
			out = append(out, netv1.IngressLoadBalancerIngress{Hostname: n})
		}
	}
	return out
}

// sameAddresses compares without regard to order and ports.
func sameAddresses(a, b []netv1.IngressLoadBalancerIngress) bool {
	if len(a) != len(b) {
		return false
	}
	same := func(x, y netv1.IngressLoadBalancerIngress) bool { return x.IP == y.IP && x.Hostname == y.Hostname }
	if slices.EqualFunc(a, b, same) { // as it is nearly always
		return true
	}
	order := func(x, y netv1.IngressLoadBalancerIngress) int {
		return cmp.Or(cmp.Compare(x.IP, y.IP), cmp.Compare(x.Hostname, y.Hostname))
	}
	sorted := func(all []netv1.IngressLoadBalancerIngress) []netv1.IngressLoadBalancerIngress {
		return slices.SortedFunc(slices.Values(all), order)
	}
	return slices.EqualFunc(sorted(a), sorted(b), same)
}

// A write gives an Ingress addresses, or takes them away.
type write struct {
	ingress *netv1.Ingress
	to      []netv1.IngressLoadBalancerIngress
}

// statuses is what this edge, while it is elected, knows of what it published.
type statuses struct {
	want []netv1.IngressLoadBalancerIngress
	// ours are the Ingresses that had our addresses and were served.
	ours map[types.UID]bool
	// at is when one was last tried, failed why that has failed.
	at     map[types.UID]time.Time
	failed map[types.UID]error
	// withheld are the Ingresses that get none before they have their
	// certificates.
	withheld []*netv1.Ingress
}

func newStatuses(want []netv1.IngressLoadBalancerIngress) *statuses {
	return &statuses{want: want, ours: map[types.UID]bool{}, at: map[types.UID]time.Time{}, failed: map[types.UID]error{}}
}

// diff returns what to write. current are all Ingresses as they are now. One
// that is not served any more loses our addresses if it still bears them. One that
// waits for a certificate is not told of to anybody; whoever knows its address
// already does not have to forget it.
func (s *statuses) diff(r *Report, current []*netv1.Ingress, now time.Time) (writes []write) {
	live, waits := make(map[types.UID]bool, len(r.Served)), make(map[types.UID]bool, len(r.Uncertified))
	for _, in := range r.Served {
		live[in.UID] = true
	}
	for _, in := range r.Uncertified {
		waits[in.UID] = true
	}
	s.withheld = nil
	known := make(map[types.UID]bool, len(current))
	for _, in := range current {
		known[in.UID] = true
		has := in.Status.LoadBalancer.Ingress
		same := sameAddresses(has, s.want)
		switch {
		case live[in.UID] && same:
			s.ours[in.UID] = true
			delete(s.failed, in.UID)
		case live[in.UID] && waits[in.UID]:
			s.withheld = append(s.withheld, in)
		case now.Sub(s.at[in.UID]) < rewriteEvery:
		case live[in.UID]:
			writes = append(writes, write{in, s.want})
		case same && s.ours[in.UID]:
			writes = append(writes, write{in, nil})
		}
	}
	gone := func(uid types.UID) bool { return !known[uid] }
	maps.DeleteFunc(s.ours, func(uid types.UID, _ bool) bool { return gone(uid) })
	maps.DeleteFunc(s.at, func(uid types.UID, _ time.Time) bool { return gone(uid) })
	maps.DeleteFunc(s.failed, func(uid types.UID, _ error) bool { return gone(uid) })
	slices.SortFunc(writes, func(a, b write) int {
		return cmp.Or(cmp.Compare(a.ingress.Namespace, b.ingress.Namespace), cmp.Compare(a.ingress.Name, b.ingress.Name))
	})
	return writes
}

// done notes that w was tried, and what has come of it. One that has failed
// waits as long as any other for its next time.
func (s *statuses) done(w write, err error, now time.Time) {
	uid := w.ingress.UID
	s.at[uid] = now
	delete(s.failed, uid)
	switch {
	case err != nil:
		s.failed[uid] = fmt.Errorf("status of Ingress %s/%s: %w", w.ingress.Namespace, w.ingress.Name, err)
	case w.to == nil:
		delete(s.ours, uid)
	default:
		s.ours[uid] = true
	}
}

// problems tells the Ingresses that get no address why.
func (s *statuses) problems() (out []Problem) {
	for _, in := range s.withheld {
		out = append(out, Problem{
			Object: originOf(in).String(),
			Field:  "status.loadBalancer",
			Text:   "gets no address of ours yet, as a host of its tls has no certificate: give it the Secret that it names",
		})
	}
	return out
}

// err returns one of the reasons why not all is written.
func (s *statuses) err() error {
	for _, err := range s.failed {
		return err
	}
	return nil
}

// clear returns what takes our addresses away from all that bear them.
func (s *statuses) clear(current []*netv1.Ingress) (writes []write) {
	for _, in := range current {
		if s.ours[in.UID] && sameAddresses(in.Status.LoadBalancer.Ingress, s.want) {
			writes = append(writes, write{in, nil})
		}
	}
	return writes
}

// patch returns what a write is in the API: for the object it was decided for
// alone, and only if nobody has made another one of that name meanwhile.
func (w write) patch() ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": w.ingress.UID},
		"status":   map[string]any{"loadBalancer": map[string]any{"ingress": w.to}},
	})
}

// apply writes, some at once, and returns how many were written. After some
// errors it leaves the rest for the next time.
func (p *Publisher) apply(ctx context.Context, s *statuses, writes []write) (written int) {
	outcome := make([]error, len(writes))
	var failures atomic.Int32
	var group errgroup.Group
	group.SetLimit(patches)
	for i, w := range writes {
		group.Go(func() error {
			if failures.Load() >= maxFailures {
				outcome[i] = errLater
			} else if outcome[i] = p.write(ctx, w); outcome[i] != nil {
				failures.Add(1)
			}
			return nil
		})
	}
	_ = group.Wait() // outcome has the errors
	for i, w := range writes {
		if errors.Is(outcome[i], errLater) {
			continue
		}
		if outcome[i] == nil {
			written++
		}
		s.done(w, outcome[i], time.Now())
	}
	return written
}

func (p *Publisher) write(ctx context.Context, w write) error {
	body, err := w.patch()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	_, err = p.client.NetworkingV1().Ingresses(w.ingress.Namespace).
		Patch(ctx, w.ingress.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: manager}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		// It is gone, or another one has its name, which the watch tells of soon.
		// An edit in between is no conflict.
		return nil
	}
	return err
}
