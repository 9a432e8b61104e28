package l7

import (
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/portico-lb/portico/l7/kube"
)

// publisher returns who writes to the API server that w follows, nil where
// nothing is to be written.
func (k Kubernetes) publisher(w *kube.Watcher, o kube.PublishOptions) *kube.Publisher {
	if len(k.Publish) == 0 && !k.Events {
		return nil
	}
	o.Addresses, o.Clear, o.Events = k.Publish, k.PublishClear, k.Events
	o.Namespace, o.Lease = k.Namespace, "portico-"+k.IngressClass
	return kube.NewPublisher(w, o)
}

// tellAPI has what is live here, and what is wrong with it, told to those who
// wrote the objects.
func (r *runner) tellAPI(o *kube.Objects) {
	if r.source.publisher == nil {
		return
	}
	r.source.publisher.Set(kube.Report{
		Objects: o, Served: r.build.served, Uncertified: r.build.uncertified,
		Problems: append(r.build.faulty(), r.build.problems...),
	})
}

// faulty are what is wrong with Ingresses beside their own problems: rules that
// never answer, as another has their place, and certificates that are none.
func (b *build) faulty() (out []kube.Problem) {
	for _, c := range b.conflicts {
		out = append(out, kube.Problem{
			Object: c.Loser.Origin.String(),
			Field:  "spec.rules",
			Text: fmt.Sprintf("the rule for host %q and path %q never answers, %s has its place, as it is older or has the higher priority: remove one of the two",
				c.Loser.Host, c.Loser.Path, c.Winner.Origin),
		})
	}
	for _, fault := range b.certFaults {
		for _, t := range b.translator.TLS() {
			if text, ok := strings.CutPrefix(fault, "certificate "+t.Secret+": "); ok {
				out = append(out, kube.Problem{Object: t.Origin.String(), Field: "spec.tls", Text: "Secret " + t.Secret + ": " + text})
			}
		}
	}
	return out
}

// checkPublish checks what is written to the API server.
func (s KubernetesSection) checkPublish(k Kubernetes, bad func(field, problem string)) {
	for i, name := range k.Publish {
		if _, err := netip.ParseAddr(name); err != nil && (len(validation.IsDNS1123Subdomain(name)) > 0 || strings.Trim(name, "0123456789.") == "") {
			bad(fmt.Sprintf("publish[%d]", i), fmt.Sprintf("%q is no address and no host name: want one such as \"192.0.2.10\" or \"edge.example.com\"", name))
		}
	}
	if len(validation.IsDNS1123Label(k.Namespace)) > 0 {
		bad("namespace", fmt.Sprintf("%q is no namespace: want one such as \"portico\"", k.Namespace))
	}
	if k.API() {
		return
	}
	for field, set := range map[string]bool{
		"publish": len(s.Publish) > 0, "publish_clear": s.PublishClear, "events": s.Events != nil, "namespace": s.Namespace != "",
	} {
		if set {
			bad(field, "stands without kubeconfig or endpoints, which say where the API server is to write to")
		}
	}
}
