package kube_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/test/cluster"
)

// A publishing is an edge that writes, or would.
type publishing struct {
	*kube.Publisher
	*kube.Watcher
	resign func()
}

// startPublishing runs an edge with the rights of rbac.yaml, which serves what
// the API server holds and finds these problems.
func startPublishing(t *testing.T, c *cluster.Cluster, node string, problems ...kube.Problem) *publishing {
	t.Helper()
	o := withToken(t, c)
	o.Namespaces = []string{"shop", "other"}
	w := runReady(t, o)
	p := kube.NewPublisher(w, kube.PublishOptions{
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)).With("edge", node),
		Addresses: []string{"192.0.2.10", "edge.example.com"}, Clear: true, Events: true,
		Namespace: "portico", Lease: "portico-portico", Node: node,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	e := &publishing{p, w, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})}
	t.Cleanup(e.resign)
	e.live(problems...)
	return e
}

// live says that all is served.
func (e *publishing) live(problems ...kube.Problem) {
	objects := e.Objects()
	e.Set(kube.Report{Objects: objects, Served: kube.Served(objects, kube.Options{IngressClass: "portico"}), Problems: problems})
}

func (e *publishing) awaitWriter(t *testing.T, what string, ok func(kube.PublisherStatus) bool) kube.PublisherStatus {
	t.Helper()
	late, tick := time.After(time.Minute), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		s := e.Publisher.Status()
		if ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: the writer's status is %+v", what, s)
		}
	}
}

// published are the addresses in an Ingress's status, in one text.
func published(t *testing.T, c *cluster.Cluster, namespace string) string {
	t.Helper()
	in, err := c.Client().NetworkingV1().Ingresses(namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range in.Status.LoadBalancer.Ingress {
		all = append(all, a.IP+a.Hostname)
	}
	return strings.Join(all, " ")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not seen", what)
		}
	}
}

// TestPublisher lets two edges write what they serve, takes one away, and then
// the other.
func TestPublisher(t *testing.T) {
	t.Parallel() // as the next one it waits most of the time, for Leases and attempts
	const ours = "192.0.2.10 edge.example.com"
	c := startCluster(t)
	apply(t, c, rbac(t))
	fault := kube.Problem{Object: "Ingress shop/web", Field: "spec.rules[0].host", Text: "no host: write one"}
	elsewhere := kube.Problem{Object: "manifests/web.yaml", Text: "no object of the API"}

	began := time.Now()
	one := startPublishing(t, c, "edge-1", fault, elsewhere)
	eventually(t, "addresses", func() bool { return published(t, c, "shop") == ours })
	t.Logf("figure: addresses are published %v after the start", time.Since(began))
	one.awaitWriter(t, "leading", func(s kube.PublisherStatus) bool { return s.Elected && s.Published == 1 && s.Err == "" })
	if got := published(t, c, "other"); got != "" {
		t.Errorf("an Ingress of another class has %q", got)
	}
	gen := one.Objects().Gen.Ingresses
	await(t, one.Watcher, "its own class", func(o *kube.Objects) bool { return o.Gen.Ingresses == gen }) // no rebuild of what was written

	events := func() []eventsv1.Event {
		list, err := c.Client().EventsV1().Events("shop").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return list.Items
	}
	eventually(t, "an Event", func() bool { return len(events()) == 1 })
	if e := events()[0]; e.Type != "Warning" || e.Regarding.Name != "web" || e.Regarding.UID == "" || e.Note != fault.Field+": "+fault.Text {
		t.Errorf("the event is %+v", e)
	}

	two := startPublishing(t, c, "edge-2", fault)
	two.awaitWriter(t, "the other's turn", func(s kube.PublisherStatus) bool { return strings.HasPrefix(s.Writer, "edge-1_") && !s.Elected })
	began = time.Now()
	one.resign()
	two.awaitWriter(t, "its turn", func(s kube.PublisherStatus) bool { return s.Elected && s.Published == 1 })
	t.Logf("figure: the next edge writes %v after the first one stops", time.Since(began))
	if got := published(t, c, "shop"); got != ours {
		t.Errorf("with another edge there, the addresses are %q", got)
	}
	eventually(t, "the Event counted on", func() bool {
		all := events()
		return len(all) == 1 && all[0].Series != nil && all[0].Series.Count == 2
	})

	// A new Ingress is told of once it is live, and not before.
	apply(t, c, strings.ReplaceAll(watched, "metadata: {name: web, namespace: other}\nspec:\n", "metadata: {name: web, namespace: other}\nspec:\n  ingressClassName: portico\n"))
	await(t, two.Watcher, "one more", func(o *kube.Objects) bool {
		return len(kube.Served(o, kube.Options{IngressClass: "portico"})) == 2
	})
	if got := published(t, c, "other"); got != "" {
		t.Errorf("before it is live, an Ingress has %q", got)
	}
	objects := two.Objects()
	served := kube.Served(objects, kube.Options{IngressClass: "portico"})
	two.Set(kube.Report{Objects: objects, Served: served, Uncertified: served}) // one has its address already
	two.awaitWriter(t, "one withheld", func(s kube.PublisherStatus) bool { return s.Withheld == 1 && s.Published == 1 })
	if got := published(t, c, "other") + published(t, c, "shop"); got != ours {
		t.Errorf("before it has its certificates, the Ingresses have %q", got)
	}
	two.live()
	eventually(t, "addresses of the new one", func() bool { return published(t, c, "other") == ours })
	eventually(t, "an Event that all is well", func() bool {
		for _, e := range events() {
			if e.Type == "Normal" && e.Reason == "Resolved" {
				return true
			}
		}
		return false
	})

	began = time.Now()
	two.resign()
	t.Logf("figure: the last edge has taken its addresses away after %v", time.Since(began))
	for _, ns := range []string{"shop", "other"} {
		if got := published(t, c, ns); got != "" {
			t.Errorf("after the last edge, Ingress %s/web has %q", ns, got)
		}
	}
}

// TestPublisherWithoutRights says what is missing, and goes on once it is there.
func TestPublisherWithoutRights(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, old, new, want string }{
		{"Leases", "resources: [leases]\n  verbs: [get, create, update]", "resources: [leases]\n  verbs: [get]", "leases.coordination.k8s.io is forbidden"},
		{"status", "resources: [ingresses/status]", "resources: [ingresses/other]", "status of Ingress shop/web: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			apply(t, c, strings.ReplaceAll(rbac(t), test.old, test.new))
			e := startPublishing(t, c, "edge")
			s := e.awaitWriter(t, test.want, func(s kube.PublisherStatus) bool { return strings.Contains(s.Err, test.want) })
			if !strings.Contains(s.Err, "packaging/kubernetes/rbac.yaml") || s.ErrSince.IsZero() || s.Published != 0 {
				t.Errorf("%+v names no cure", s)
			}
			apply(t, c, rbac(t))
			e.awaitWriter(t, "all rights", func(s kube.PublisherStatus) bool { return s.Err == "" && s.Published == 1 })
			e.resign()
		})
	}
}
