// Package never holds the proxy to its first promise: no request fails because
// of it. The real binary serves clients of every kind at full load while all
// that it depends on changes: Pods, routes, certificates, the configuration,
// and the process itself.
//
//	PORTICO_BIN=$PWD/bin/portico go test -count=1 -v ./test/never
//
// Clients repeat nothing by themselves: what they see is what is counted. With
// -short there is a tenth of each change.
package never

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// patience bounds waiting and is no claim.
const patience = 30 * time.Second

// A site is one node with the proxy, its Pods and its clients, all behind one
// loopback interface.
type site struct {
	t      *testing.T
	node   *lab.Node
	folder string // manifests
	config string // file
	socket string // of the proxy, for its status
	http3  bool   // is served
	proxy  *lab.Proc
	tally  tally
	pods   sync.WaitGroup // that finish what they have begun

	mu     sync.Mutex
	last   int // address of a Pod that was given away
	serial int // of a certificate
}

// podNetwork is all on lo, so that every address in it can be listened on.
const podNetwork = "10.244.0.0/16"

// newSite starts the proxy with what the manifests and the configuration say.
func newSite(t *testing.T) *site {
	t.Helper()
	bin := os.Getenv("PORTICO_BIN")
	if bin == "" {
		t.Skip("no binary to run: make build, and name it in PORTICO_BIN")
	}
	s := &site{t: t, node: lab.New(t).Node("site")}
	s.node.Output("ip", "route", "add", "local", podNetwork, "dev", "lo")
	s.folder = filepath.Join(s.node.Dir(), "manifests")
	s.config = filepath.Join(s.node.Dir(), "portico.toml")
	s.socket = filepath.Join(s.node.Dir(), "proxy.sock")
	if err := os.Mkdir(s.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.proxy != nil {
			s.proxy.Stop() // or Pods would wait for the end of its idle connections
		}
		s.pods.Wait()
	})
	s.configure(0)
	return s
}

// start starts the proxy on the present manifests and waits until it serves.
func (s *site) start() {
	s.t.Helper()
	s.proxy = s.node.Start(os.Getenv("PORTICO_BIN"), "run", "--config", s.config, "--only", "l7")
	s.awaitRoutes()
}

// awaitRoutes waits until the proxy knows its routes.
func (s *site) awaitRoutes() {
	s.t.Helper()
	lab.Eventually(s.t, patience, "the proxy ready", func() error {
		st, err := s.status()
		if err == nil && !st.L7.Ready {
			err = fmt.Errorf("not ready: %s", st.L7.Reason)
		}
		return err
	})
}

// reload has the proxy read its configuration and the manifests now.
func (s *site) reload() { s.proxy.Signal(syscall.SIGHUP) }

// write puts a file into place in one step.
func (s *site) write(path, text string) {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		s.t.Error(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Error(err)
	}
}

func (s *site) manifest(name, text string) { s.write(filepath.Join(s.folder, name+".yaml"), text) }

// times is how often a change is made: n times, a tenth of it with -short.
func times(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// until waits for cond, which is asked again after each pause.
func (s *site) until(ctx context.Context, what string, cond func() error) {
	limit, pause := time.After(patience), time.NewTicker(2*time.Millisecond)
	defer pause.Stop()
	for err := cond(); err != nil; err = cond() {
		select {
		case <-ctx.Done():
			return
		case <-limit:
			s.t.Errorf("%s: not within %v: %v", what, patience, err)
			return
		case <-pause.C:
		}
	}
}
