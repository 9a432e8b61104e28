package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/apimachinery/pkg/watch"
)

// watchGrace is how long after its time the API server has to end a watch.
const watchGrace = 10 * time.Second

// bound ends a watch that the API server should have ended: one that says
// nothing any more looks like a cluster in which nothing happens.
func bound(w watch.Interface, o metav1.ListOptions) watch.Interface {
	limit := 2 * minWatch
	if o.TimeoutSeconds != nil {
		limit = time.Duration(*o.TimeoutSeconds) * time.Second
	}
	return boundWatch{w, time.AfterFunc(limit+watchGrace, w.Stop)}
}

// A boundWatch is a watch that ends by itself.
type boundWatch struct {
	watch.Interface
	end *time.Timer
}

func (b boundWatch) Stop() {
	b.end.Stop()
	b.Interface.Stop()
}

// since says which API a resource is read by, and which version of Kubernetes
// has it.
var since = map[string]struct{ api, version string }{
	"ingresses":      {"networking.k8s.io/v1", "1.19"},
	"ingressclasses": {"networking.k8s.io/v1", "1.19"},
	"endpointslices": {"discovery.k8s.io/v1", "1.21"},
}

// tooOld explains that the API server does not know a resource, by its version.
func (w *reader) tooOld(ctx context.Context, resource string, err error) error {
	s, ok := since[resource]
	if !ok {
		return err
	}
	of := "its version is not known"
	if raw, err := w.core.Get().AbsPath("/version").DoRaw(ctx); err == nil {
		var v apiversion.Info
		if json.Unmarshal(raw, &v) == nil && v.GitVersion != "" {
			of = "it is Kubernetes " + v.GitVersion
		}
	}
	return fmt.Errorf("%w: the API server at %s has no %s, %s and that came with %s: upgrade it, "+
		"or read its objects as manifests from a folder", err, w.server.current(), s.api, of, s.version)
}
