package l7

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/portico-lb/portico/l7/kube"
)

const (
	// lookupEvery is how often names are asked for. The system's resolver does
	// not tell how long an answer counts; this is shorter than what is usual.
	lookupEvery   = 15 * time.Second
	lookupTimeout = 5 * time.Second
	// deniedMost is how long the last addresses of a name are used of which DNS
	// says now that there is none: a zone that is loaded anew, or one server of
	// several, says so of any name. Longer, and they may be somebody else's.
	deniedMost = time.Minute
	// lookupsAtOnce bounds the questions that are open at a time.
	lookupsAtOnce = 8
)

// names asks DNS for what Services of type ExternalName stand for.
type names struct {
	lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	// local returns the addresses of this node.
	local func() ([]net.Addr, error)

	wanted  atomic.Pointer[wantedNames]
	kick    chan struct{} // rings when wanted has changed
	answers atomic.Pointer[map[string]kube.Answer]
	changed chan struct{} // rings when answers have
	// gone says since when DNS denies names that it knew. It is ask's.
	gone map[string]time.Time
}

// wantedNames are those that are asked for. Servers are the hosts of the API
// server, where none may lead.
type wantedNames struct{ names, servers []string }

func newNames() *names {
	n := &names{
		lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		},
		local:   net.InterfaceAddrs,
		kick:    make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		gone:    make(map[string]time.Time),
	}
	n.wanted.Store(&wantedNames{})
	n.answers.Store(&map[string]kube.Answer{})
	return n
}

// want makes w what is asked for.
func (n *names) want(w wantedNames) {
	if !reflect.DeepEqual(*n.wanted.Load(), w) {
		n.wanted.Store(&w)
		ring(n.kick)
	}
}

// run asks until ctx ends.
func (n *names) run(ctx context.Context) {
	ticker := time.NewTicker(lookupEvery)
	defer ticker.Stop()
	for {
		if next := n.ask(ctx); ctx.Err() == nil && !reflect.DeepEqual(next, *n.answers.Load()) {
			n.answers.Store(&next)
			ring(n.changed)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-n.kick:
		}
	}
}

// ask returns what DNS says of all that is wanted.
func (n *names) ask(ctx context.Context) map[string]kube.Answer {
	before, wanted := *n.answers.Load(), *n.wanted.Load()
	next := make(map[string]kube.Answer, len(wanted.names))
	if len(wanted.names) == 0 {
		return next
	}
	denied := n.denied(ctx, wanted.servers)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(lookupsAtOnce)
	for _, name := range wanted.names {
		group.Go(func() error {
			a, known := n.answer(ctx, name, before[name], denied)
			mu.Lock()
			defer mu.Unlock()
			next[name] = n.overlook(name, a, known, before[name])
			return nil
		})
	}
	_ = group.Wait() // none fails
	maps.DeleteFunc(n.gone, func(name string, _ time.Time) bool {
		_, asked := next[name]
		return !asked
	})
	return next
}

// overlook returns the answer for a name, or the one before for as long as DNS has
// not denied the name for long.
func (n *names) overlook(name string, a kube.Answer, known bool, before kube.Answer) kube.Answer {
	since, gone := n.gone[name]
	switch {
	case known || len(before.Addrs) == 0:
		delete(n.gone, name)
		return a
	case !gone:
		since = time.Now()
		n.gone[name] = since
	}
	if time.Since(since) >= deniedMost {
		delete(n.gone, name)
		return a
	}
	return kube.Answer{Addrs: before.Addrs, Err: fmt.Sprintf("%s is not known to DNS any more, its last addresses are used for %v at most: correct it", name, deniedMost)}
}

// answer asks for a name, and reports whether DNS knows it. What it was before
// counts on where DNS does not answer.
func (n *names) answer(ctx context.Context, name string, before kube.Answer, denied []netip.Addr) (a kube.Answer, known bool) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := n.lookup(ctx, name+".") // as it is, without the domains of resolv.conf
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return kube.Answer{Err: fmt.Sprintf("%s is not known to DNS, its routes answer 503: correct it", name)}, false
	case err != nil && len(before.Addrs) > 0:
		return kube.Answer{Addrs: before.Addrs, Err: fmt.Sprintf("DNS does not answer for %s, its last addresses are used: look at /etc/resolv.conf", name)}, true
	case err != nil:
		return kube.Answer{Err: fmt.Sprintf("DNS does not answer for %s, its routes answer 503: look at /etc/resolv.conf", name)}, true
	}
	var out kube.Answer
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || slices.Contains(denied, a) {
			out.Err = fmt.Sprintf("%s leads to %s, which is loopback, link-local, this node or the API server, and is left out: use a Service with endpoints", name, a)
			continue
		}
		out.Addrs = append(out.Addrs, a)
	}
	slices.SortFunc(out.Addrs, netip.Addr.Compare)
	return out, true
}

// denied returns the addresses that nobody may be led to by a name: what this
// node and the API server let its neighbours do is not for clients.
func (n *names) denied(ctx context.Context, servers []string) []netip.Addr {
	var out []netip.Addr
	local, _ := n.local() // loopback is denied in any case
	for _, a := range local {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for _, host := range servers {
		if a, err := netip.ParseAddr(host); err == nil {
			out = append(out, a.Unmap())
			continue
		}
		addrs, _ := n.lookup(ctx, host)
		for _, a := range addrs {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// applyNames has the names served that k allows.
func (r *runner) applyNames(ctx context.Context, k Kubernetes) {
	if r.names == nil {
		if len(k.AllowExternalNames) == 0 {
			return
		}
		r.names = newNames()
		ctx, r.stopNames = context.WithCancel(context.WithoutCancel(ctx)) // ended by stop
		r.group.Go(func() { r.names.run(ctx) })
	}
	r.setNames()
}

// setNames has the endpoints go by the last answers.
func (r *runner) setNames() {
	r.build.endpoints.SetNames(kube.Names{
		Allow:   r.config.Kubernetes.AllowExternalNames,
		Answers: *r.names.answers.Load(),
	})
}

// wantNames has DNS asked for the names that backends lead to.
func (r *runner) wantNames() {
	if r.names == nil {
		return
	}
	r.names.want(wantedNames{
		names:   r.build.endpoints.ExternalNames(),
		servers: hosts(append([]string{r.source.Status().From}, r.config.Kubernetes.Endpoints...)),
	})
}

// namesChanged rings when DNS says something new; that of none never does.
func (r *runner) namesChanged() <-chan struct{} {
	if r.names == nil {
		return nil
	}
	return r.names.changed
}

// hosts returns those of URLs.
func hosts(urls []string) []string {
	var out []string
	for _, s := range urls {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
			out = append(out, u.Hostname())
		}
	}
	return out
}
