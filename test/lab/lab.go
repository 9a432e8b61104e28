package lab

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Lab is the networks and nodes of one test.
type Lab struct {
	t     T
	dir   string
	named bool
	ctx   context.Context // ends with the laboratory

	mu         sync.Mutex // the fields below; nodes may be used from any goroutine
	namespaces []*namespace
	procs      []*Proc
	servers    []*http.Server
	hosts      map[string]string
	wg         sync.WaitGroup // goroutines of procs and servers
}

// An Option changes how a laboratory is built.
type Option func(*Lab)

// Named makes the namespaces appear under the names of their nodes and
// networks to ip netns, for people to look into. Two such laboratories cannot
// stand on one machine, and a killed one leaves its names behind.
func Named() Option { return func(l *Lab) { l.named = true } }

// New returns an empty laboratory that ends with t.
func New(t T, opts ...Option) *Lab {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "namespaces need root")
	}
	// Not the test's own directory: its path is too long for unix sockets.
	dir, err := os.MkdirTemp("", "lab-")
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lab{t: t, dir: dir, ctx: ctx, hosts: map[string]string{}}
	for _, o := range opts {
		o(l)
	}
	t.Cleanup(func() {
		l.end(cancel)
	})
	return l
}

// Host makes clients in the laboratory find the host name at addr, an IP
// address. Programs do not know of it.
func (l *Lab) Host(name, addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hosts[name] = addr
}

// end stops everything, the youngest first, and leaves nothing behind.
func (l *Lab) end(cancel context.CancelFunc) {
	l.mu.Lock()
	procs, servers, namespaces := l.procs, l.servers, l.namespaces
	l.mu.Unlock()
	for _, p := range slices.Backward(procs) {
		p.Stop()
		if l.t.Failed() {
			l.t.Logf("%s said:\n%s", p, p.tail())
		}
	}
	for _, s := range servers {
		s.Close()
	}
	cancel()
	for _, ns := range namespaces {
		if err := ns.killAll(); err != nil {
			l.t.Logf("lab: %v", err)
		}
	}
	l.wg.Wait()
	for _, ns := range slices.Backward(namespaces) {
		if err := ns.close(); err != nil {
			l.t.Logf("lab: %s: %v", ns.name, err)
		}
	}
	if err := os.RemoveAll(l.dir); err != nil {
		l.t.Logf("lab: %v", err)
	}
}

// namespace makes a network namespace that ends with the laboratory.
func (l *Lab) namespace(name string) *namespace {
	l.t.Helper()
	ns := &namespace{name: name, named: l.named}
	var err error
	onThread(func() {
		if l.named {
			ns.fd, err = netns.NewNamed(name)
		} else {
			ns.fd, err = netns.New()
		}
	})
	if os.IsExist(err) {
		l.t.Fatalf("namespace %s exists, perhaps of an earlier run that was killed: ip netns delete %s", name, name)
	}
	if err != nil {
		l.t.Fatalf("new namespace %s: %v", name, err)
	}
	l.mu.Lock()
	l.namespaces = append(l.namespaces, ns)
	l.mu.Unlock()
	if ns.links, err = netlink.NewHandleAt(ns.fd, unix.NETLINK_ROUTE); err != nil {
		l.t.Fatalf("netlink in %s: %v", name, err)
	}
	return ns
}

// path is a new directory below the laboratory's.
func (l *Lab) path(name string) string {
	l.t.Helper()
	dir := filepath.Join(l.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Fatalf("lab: %v", err)
	}
	return dir
}
