package soak

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/portico-lb/portico/test/cluster"
	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// A source is where the nodes have their routes from. Its methods are for one
// goroutine at a time.
type source interface {
	// apply makes or changes the objects of a text.
	apply(name, text string) error
	// add makes an Ingress, remove ends it.
	add(*networking.Ingress) error
	remove(name string) error
	// vanish takes the source away, appear brings it back.
	vanish() error
	appear() error
}

// A folder of manifests.
type folder struct{ edge *edge.Edge }

func (f folder) apply(name, text string) error {
	f.edge.WriteManifest(name+".yaml", text)
	return nil
}

func (f folder) add(i *networking.Ingress) error {
	text, err := yaml.Marshal(i)
	if err != nil {
		return err
	}
	return f.apply(i.Name, string(text))
}

func (f folder) remove(name string) error {
	return os.Remove(filepath.Join(f.edge.Folder, name+".yaml"))
}

func (f folder) vanish() error { return os.Rename(f.edge.Folder, f.edge.Folder+".gone") }
func (f folder) appear() error { return os.Rename(f.edge.Folder+".gone", f.edge.Folder) }

// An apiServer is a real kube-apiserver on the workers' machine.
type apiServer struct {
	*cluster.Cluster
	ctx context.Context
}

func (s *soak) startAPIServer() apiServer {
	worker := s.edge.Worker
	c, err := cluster.New(s.Context(), cluster.Options{
		Dir: s.TempDir(), Addr: netip.MustParseAddr("172.20.0.10"),
		Do: func(f func() error) (err error) { worker.Do(func() { err = f() }); return err },
	})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := c.Close(); err != nil {
			s.Error(err)
		}
	})
	s.edge.Reconfigure(func(o *edge.Options) { o.Kubernetes = fmt.Sprintf("kubeconfig = %q\n", c.Kubeconfig()) })
	a := apiServer{c, s.Context()}
	// A young one has no namespace yet.
	lab.Eventually(s.T, s.scale.patience, "an Ingress at the API server", func() error { return a.apply("", edge.DefaultIngress) })
	return a
}

func (a apiServer) apply(_, text string) error { return a.Apply(a.ctx, text) }

func (a apiServer) add(i *networking.Ingress) error {
	_, err := a.Client().NetworkingV1().Ingresses(i.Namespace).Create(a.ctx, i, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // the answer to the first try was lost
		return nil
	}
	return err
}

func (a apiServer) remove(name string) error {
	err := a.Client().NetworkingV1().Ingresses("default").Delete(a.ctx, name, meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (a apiServer) vanish() error { return a.Stop() }
func (a apiServer) appear() error { return a.Restart(a.ctx) }

// News change the routes all the time: an Ingress comes, and an old one goes.
type news struct {
	soak *soak
	wg   sync.WaitGroup
	end  chan struct{}

	mu     sync.Mutex // of the source too
	absent bool       // who makes news is not heard
	latest atomic.Int64
	slow   time.Duration // the longest until all nodes had the latest
}

// remembered is how many Ingresses of the news stand at once.
const remembered = 10

func (s *soak) makeNews() *news {
	n := &news{soak: s, end: make(chan struct{})}
	n.wg.Go(n.run)
	return n
}

func (n *news) stop() {
	close(n.end)
	n.wg.Wait()
}

func (n *news) run() {
	tick := time.NewTicker(n.soak.scale.news)
	defer tick.Stop()
	for i := int64(1); ; {
		select {
		case <-n.end:
			return
		case <-tick.C:
			if n.tell(i) {
				n.latest.Store(i)
				i++
			}
		}
	}
}

// tell is false if it must be told again.
func (n *news) tell(i int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.absent {
		return false
	}
	class, prefix := "portico", networking.PathTypePrefix
	err := n.soak.source.add(&networking.Ingress{
		TypeMeta:   meta.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: meta.ObjectMeta{Name: fmt.Sprintf("news-%d", i), Namespace: "default"},
		Spec: networking.IngressSpec{IngressClassName: &class, Rules: []networking.IngressRule{{
			Host: newsHost(i),
			IngressRuleValue: networking.IngressRuleValue{HTTP: &networking.HTTPIngressRuleValue{Paths: []networking.HTTPIngressPath{{
				Path: "/", PathType: &prefix,
				Backend: networking.IngressBackend{Service: &networking.IngressServiceBackend{
					Name: "web", Port: networking.ServiceBackendPort{Number: 80},
				}},
			}}}},
		}}},
	})
	if err == nil && i > remembered {
		err = n.soak.source.remove(fmt.Sprintf("news-%d", i-remembered))
	}
	if err != nil {
		n.soak.Errorf("news of the routes: %v", err)
	}
	return err == nil
}

func newsHost(i int64) string { return fmt.Sprintf("news-%d.example.test", i) }

// without runs fn while nobody makes news, with the source for itself.
func (n *news) without(fn func() error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := fn(); err != nil {
		n.soak.Fatal(err)
	}
}

// known waits until every node routes by the latest news.
func (n *news) known() {
	since, i := time.Now(), n.latest.Load()
	if i == 0 {
		return
	}
	for _, node := range n.soak.edge.Nodes {
		r := lab.Request{URL: "http://" + node.Addr + "/", Host: newsHost(i), Timeout: n.soak.scale.patience}
		lab.Eventually(n.soak.T, n.soak.scale.patience, fmt.Sprintf("%s routes by the latest news", node), func() error {
			if tally := n.soak.edge.Client.Burst(1, 1, r); tally.Answered != 1 && n.latest.Load()-i < remembered {
				return fmt.Errorf("%v", tally)
			}
			return nil
		})
	}
	n.slow = max(n.slow, time.Since(since))
}
