package kube_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/test/cluster"
)

// rbac is what the package ships.
func rbac(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../packaging/kubernetes/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withToken returns options for the ServiceAccount of rbac.yaml, with an
// endpoint in front where nothing answers.
func withToken(t *testing.T, c *cluster.Cluster) kube.WatchOptions {
	t.Helper()
	token, err := c.Token(t.Context(), "portico", "portico")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return kube.WatchOptions{
		Endpoints: []string{"https://127.0.0.1:1", c.URL()},
		TokenFile: file,
		CAFile:    c.CAFile(),
	}
}

func TestWatcherWithLeastRights(t *testing.T) {
	for _, test := range []struct {
		name     string
		old, new string // what is other in rbac.yaml
		problems []string
		err      string
	}{
		{name: "as shipped"},
		{
			name:     "no ingressclasses",
			old:      ", ingressclasses]",
			new:      "]",
			problems: []string{"ingressclasses: ingressclasses.networking.k8s.io is forbidden: "},
		},
		{
			name: "endpointslices listed only",
			old:  "resources: [endpointslices]\n  verbs: [get, list, watch]",
			new:  "resources: [endpointslices]\n  verbs: [get, list]",
			err:  "cannot watch resource",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := startCluster(t)
			apply(t, c, strings.Replace(rbac(t), test.old, test.new, 1))
			w := runReady(t, withToken(t, c))
			s := awaitStatus(t, w, "first watches", func(s kube.SourceStatus) bool { return (s.Err != "") == (test.err != "") })
			if !strings.Contains(s.Err, test.err) || s.From != c.URL() || len(s.Problems) != len(test.problems) {
				t.Fatalf("status %+v", s)
			}
			for i, p := range s.Problems {
				if !strings.HasPrefix(p.String(), test.problems[i]) {
					t.Errorf("problem %q, want %q...", p, test.problems[i])
				}
			}
			if s.Counts.Ingresses != 2 || s.Counts.Secrets != 4 || s.Counts.Slices == 0 {
				t.Errorf("counts %+v", s.Counts)
			}
			// A change is seen, if only by listing again, which does not make
			// the error another one.
			apply(t, c, strings.ReplaceAll(watched, "10.244.0.5", "10.244.0.99"))
			await(t, w, "change", func(o *kube.Objects) bool {
				return slices.ContainsFunc(o.Slices, func(s *discoveryv1.EndpointSlice) bool {
					return s.Endpoints[0].Addresses[0] == "10.244.0.99"
				})
			})
			if got := w.Status(); got.ErrSince != s.ErrSince {
				t.Errorf("error began at %v, and later at %v", s.ErrSince, got.ErrSince)
			}
		})
	}
}

// TestWatcherWaitsForRights is about rights that cannot be gone without: it is
// not ready, says which, and needs no restart once they are granted.
func TestWatcherWaitsForRights(t *testing.T) {
	c := startCluster(t)
	apply(t, c, strings.Replace(rbac(t), ", secrets]", "]", 1))
	w, ready, _ := run(t, withToken(t, c))
	s := awaitStatus(t, w, "refusal", func(s kube.SourceStatus) bool { return s.Err != "" })
	if !strings.Contains(s.Err, "secrets is forbidden") || !strings.Contains(s.Err, "packaging/kubernetes/rbac.yaml") {
		t.Errorf("error %q names no cure", s.Err)
	}
	if s.Synced || w.Objects() != nil {
		t.Errorf("synced without secrets: %+v", s)
	}
	granted := time.Now()
	apply(t, c, rbac(t))
	select {
	case <-ready:
	case <-time.After(time.Minute):
		t.Fatalf("not ready: %+v", w.Status())
	}
	t.Logf("ready %v after the grant", time.Since(granted))
	awaitStatus(t, w, "recovery", func(s kube.SourceStatus) bool { return s.Err == "" })
}

func TestWatcherRefusesWrongToken(t *testing.T) {
	c := startCluster(t)
	apply(t, c, rbac(t))
	o := withToken(t, c)
	if err := os.WriteFile(o.TokenFile, []byte("no-such-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, _, _ := run(t, o)
	s := awaitStatus(t, w, "error", func(s kube.SourceStatus) bool { return s.Err != "" })
	if !strings.Contains(s.Err, "token") || strings.Contains(s.Err, "no-such-token") || s.Synced {
		t.Errorf("status %+v", s)
	}
}
