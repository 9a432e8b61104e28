package l7

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// A KubernetesSection says where routes come from.
type KubernetesSection struct {
	Kubeconfig    string   `toml:"kubeconfig"`
	Endpoints     []string `toml:"endpoints"`
	TokenFile     string   `toml:"token_file"`
	CAFile        string   `toml:"ca_file"`
	Manifests     string   `toml:"manifests"`
	Namespaces    []string `toml:"namespaces"`
	LabelSelector string   `toml:"label_selector"`
	IngressClass  string   `toml:"ingress_class"`
	// Publish are the addresses and host names for the status of Ingresses.
	Publish      []string `toml:"publish"`
	PublishClear bool     `toml:"publish_clear"`
	Events       *bool    `toml:"events"`
	Namespace    string   `toml:"namespace"`
	// Dialect is one of kube.Dialects.
	Dialect            string   `toml:"dialect"`
	DefaultEntrypoints []string `toml:"default_entrypoints"`
	AllowExternalNames []string `toml:"allow_external_names"`
	// HostOwners are lists of namespaces by host.
	HostOwners map[string][]string `toml:"host_owners"`
	PodRoutes  string              `toml:"pod_routes"`
	// PodRoutesOnExit is "keep" or "withdraw".
	PodRoutesOnExit string `toml:"pod_routes_on_exit"`
}

// Kubernetes is a valid [l7.kubernetes]: a folder of manifests where
// Manifests is set, else an API server where Kubeconfig or Endpoints is, else
// no source at all.
type Kubernetes struct {
	Kubeconfig    string
	Endpoints     []string
	TokenFile     string
	CAFile        string
	Manifests     string
	Namespaces    []string
	LabelSelector string
	IngressClass  string
	// Publish are the addresses and host names that the status of Ingresses
	// gets; PublishClear has the last edge that stops take them away.
	Publish      []string
	PublishClear bool
	// Events has what is wrong with an object told by an Event. Default true.
	Events bool
	// Namespace is where portico's own objects are: the Lease that elects which
	// edge writes. Default portico.
	Namespace string
	// Dialect is how annotations are read. Default traefik17.
	Dialect kube.Dialect
	// DefaultEntrypoints serve the Ingresses that name none; none are all.
	DefaultEntrypoints []string
	// AllowExternalNames are what Services of type ExternalName may stand for:
	// canonical names, or "*." before a domain for all below it.
	AllowExternalNames []string
	// HostOwners are the namespaces that hosts belong to, beside those that had
	// one first.
	HostOwners kube.HostOwners
	// PodRoutes has the director route to the Pods by way of their Nodes, and
	// Withdraw take the routes away when it stops.
	PodRoutes, Withdraw bool
}

// None says that there is no cluster: all routes are those of the configuration.
func (k Kubernetes) None() bool { return k.Manifests == "" && !k.API() }

// Missing tells what k names and is not there now, or cannot be read: a start
// waits for it, and so it is no fault.
func (k Kubernetes) Missing(warn func(key, problem string)) {
	switch {
	case k.Manifests != "":
		if err := kube.CheckFolder(k.Manifests); err != nil {
			warn("l7.kubernetes.manifests", err.Error())
		}
	case k.API():
		key := "l7.kubernetes.endpoints"
		if k.Kubeconfig != "" {
			key = "l7.kubernetes.kubeconfig"
		}
		if err := kube.Check(k.watch(nil)); err != nil {
			warn(key, err.Error())
		}
	}
}

// API says that k names an API server.
func (k Kubernetes) API() bool { return k.Kubeconfig != "" || len(k.Endpoints) > 0 }

// Parse checks s. A director asks the same API server for its Nodes.
func (s KubernetesSection) Parse(bad func(key, problem string)) Kubernetes {
	const key = "l7.kubernetes"
	k := Kubernetes{
		Kubeconfig:         s.Kubeconfig,
		Endpoints:          s.Endpoints,
		TokenFile:          s.TokenFile,
		CAFile:             s.CAFile,
		Manifests:          s.Manifests,
		Namespaces:         s.Namespaces,
		LabelSelector:      s.LabelSelector,
		IngressClass:       cmp.Or(s.IngressClass, "portico"),
		DefaultEntrypoints: s.DefaultEntrypoints,
		Publish:            s.Publish,
		PublishClear:       s.PublishClear,
		Namespace:          cmp.Or(s.Namespace, "portico"),
	}
	k.Events = k.API() && (s.Events == nil || *s.Events)
	s.checkPublish(k, func(field, problem string) { bad(key+"."+field, problem) })
	p := value.Parser{Bad: bad}.In(key)
	k.Dialect = kube.Dialect(max(0, p.Choice(cmp.Or(s.Dialect, kube.Traefik17.String()), "dialect", kube.Dialects())))
	for i, name := range s.AllowExternalNames {
		below, _ := strings.CutPrefix(name, "*.")
		host, err := route.CanonicalHost(nil, []byte(below))
		if err != nil || len(host) == 0 || strings.ContainsAny(below, "*:") {
			p.Bad(fmt.Sprintf("allow_external_names[%d]", i), fmt.Sprintf("%q is no DNS name: want one such as \"api.example.com\", or \"*.example.com\" for all below it", name))
			continue
		}
		k.AllowExternalNames = append(k.AllowExternalNames, strings.TrimSuffix(name, below)+string(host))
	}
	k.HostOwners = parseOwners(p.In("host_owners"), s.HostOwners)
	k.PodRoutes = p.Choice(s.PodRoutes, "pod_routes", []string{"none", "host-gw"}) == 1
	k.Withdraw = p.Choice(s.PodRoutesOnExit, "pod_routes_on_exit", []string{"keep", "withdraw"}) == 1
	if k.PodRoutes && !k.API() {
		p.Bad("pod_routes", "stands without kubeconfig or endpoints, which say where the API server is that knows the Nodes")
	}
	var named []string
	for _, source := range []struct {
		key string
		set bool
	}{{"kubeconfig", s.Kubeconfig != ""}, {"endpoints", len(s.Endpoints) > 0}, {"manifests", s.Manifests != ""}} {
		if source.set {
			named = append(named, source.key)
		}
	}
	if len(named) > 1 {
		bad(key+"."+named[1], fmt.Sprintf("stands beside %s: routes come from one of kubeconfig, endpoints, manifests", named[0]))
	}
	if len(s.Endpoints) == 0 && (s.TokenFile != "" || s.CAFile != "") {
		bad(key, "token_file and ca_file belong to endpoints, which is missing")
	}
	if _, err := labels.Parse(s.LabelSelector); err != nil {
		bad(key+".label_selector", fmt.Sprintf("%q: %v: want one such as \"team=web,stage!=test\"", s.LabelSelector, err))
	}
	if s.Manifests != "" && s.LabelSelector != "" {
		bad(key+".label_selector", "selects at an API server: leave out of manifests what is not to be served")
	}
	if s.Manifests != "" && len(s.Namespaces) > 0 {
		bad(key+".namespaces", "selects at an API server: leave out of manifests what is not to be served")
	}
	for i, e := range s.Endpoints {
		if !strings.HasPrefix(e, "https://") {
			bad(fmt.Sprintf("%s.endpoints[%d]", key, i), fmt.Sprintf("%q is no API server: want one such as \"https://172.16.0.36:6443\"", e))
		}
	}
	return k
}

// parseOwners checks the hosts, and gives them their canonical form.
func parseOwners(p value.Parser, section map[string][]string) kube.HostOwners {
	out := kube.HostOwners{}
	for _, pattern := range slices.Sorted(maps.Keys(section)) {
		namespaces := section[pattern]
		if len(namespaces) == 0 {
			p.Bad(pattern, "names no namespace: want a list of them, \"*\" for all")
		}
		for _, n := range namespaces {
			if n != "*" && len(validation.IsDNS1123Label(n)) > 0 {
				p.Bad(pattern, fmt.Sprintf("%q is no namespace: want one such as \"shop\", or \"*\" for all", n))
			}
		}
		name, wildcard := strings.CutPrefix(pattern, "*.")
		host, err := route.CanonicalHost(nil, []byte(name))
		switch {
		case pattern == "*":
			out[pattern] = namespaces
		case err != nil || len(host) == 0 || strings.ContainsAny(name, "*:"):
			p.Bad(pattern, "is no host: want one such as \"shop.example.com\", \"*.example.com\" for all below it, or \"*\"")
		case wildcard:
			out["*."+string(host)] = namespaces
		default:
			out[string(host)] = namespaces
		}
	}
	return out
}

// options are how k's objects are read, beside what else c says.
func (c Config) options(k Kubernetes) kube.Options {
	o := kube.Options{
		IngressClass:       k.IngressClass,
		Dialect:            k.Dialect,
		DefaultEntrypoints: k.DefaultEntrypoints,
		Middlewares:        c.Middlewares,
		HostOwners:         k.HostOwners,
		Policy:             c.Backend,
	}
	for _, e := range c.Entrypoints {
		o.Entrypoints = append(o.Entrypoints, e.named())
	}
	return o
}

// named is e as an Ingress names it.
func (e Entrypoint) named() kube.Entrypoint {
	out := kube.Entrypoint{Name: e.Name, Scheme: "http"}
	if e.TLS != nil {
		out.Scheme = "https"
		out.ClientAuth = e.TLS.ClientAuth != tls.NoClientCert
	}
	if _, port, err := net.SplitHostPort(e.Listen); err == nil {
		n, _ := net.LookupPort("tcp", port) // Parse has tried
		out.Port = uint16(n)
	}
	return out
}
