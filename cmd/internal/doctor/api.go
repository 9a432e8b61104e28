package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"golang.org/x/sync/errgroup"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/l7/kube"
)

// A Right is what portico may need in the cluster.
type Right struct {
	Group, Resource, Subresource string
	Verbs                        []string
	// File is the manifest that grants it, For the key that needs it.
	File, For string
	// In says in which namespaces.
	In Scope
}

// A Scope is where a right must hold.
type Scope uint8

// The scopes.
const (
	Served  Scope = iota // in the namespaces that are served, or all
	Cluster              // of objects that belong to no namespace
	Own                  // where portico's own objects are
	Acme                 // where certificates are kept
)

// Rights are what portico may need: those of packaging/kubernetes.
var Rights = []Right{
	{"", "services", "", []string{"get", "list", "watch"}, "rbac.yaml", "", Served},
	{"", "secrets", "", []string{"get", "list", "watch"}, "rbac.yaml", "", Served},
	{"", "endpoints", "", []string{"get", "list", "watch"}, "rbac.yaml", "before 1.21", Served},
	{"discovery.k8s.io", "endpointslices", "", []string{"get", "list", "watch"}, "rbac.yaml", "", Served},
	{"networking.k8s.io", "ingresses", "", []string{"get", "list", "watch"}, "rbac.yaml", "", Served},
	{"networking.k8s.io", "ingressclasses", "", []string{"get", "list", "watch"}, "rbac.yaml", "", Cluster},
	{"", "nodes", "", []string{"get", "list", "watch"}, "rbac.yaml", "servers_from", Cluster},
	{"networking.k8s.io", "ingresses", "status", []string{"patch"}, "rbac.yaml", "publish", Served},
	{"events.k8s.io", "events", "", []string{"get", "create", "patch"}, "rbac.yaml", "events", Served},
	{"coordination.k8s.io", "leases", "", []string{"get", "create", "update"}, "rbac.yaml", "publish", Own},
	{"", "secrets", "", []string{"get", "list", "watch", "create", "update", "delete"}, "acme.yaml", "acme", Acme},
	{"coordination.k8s.io", "leases", "", []string{"get", "create", "update"}, "acme.yaml", "acme", Acme},
}

// apiFacts are what the API server says.
type apiFacts struct {
	server string
	// err is why it does not answer, or not to us.
	err error
	// skew is how far its clock is ahead of ours, to a second.
	skew time.Duration
	// asked is how many rights were asked for, denied are those that are not
	// given, "list secrets in shop", by the manifest that would.
	asked  int
	denied map[string][]string
}

// checkAPI: the API server answers, knows this node and lets it do its work.
func checkAPI(ctx context.Context, n *Node) []Finding {
	k := n.Config.L7.Kubernetes
	if !k.API() {
		return skip("no API server is used: neither kubeconfig nor endpoints in [l7.kubernetes]")
	}
	if path := n.unreadable("l7.kubernetes."); path != "" {
		return skip(path + " is not to be read by this user: run this as root")
	}
	client, end, err := client(k)
	if err != nil {
		return judgeAPI(apiFacts{err: err})
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	n.progress("asking the API server what portico may do")
	return judgeAPI(readAPI(ctx, client, n))
}

func client(k l7.Kubernetes) (*kubernetes.Clientset, func(), error) {
	return kube.NewClient(kube.WatchOptions{Log: slog.New(slog.DiscardHandler), Kubeconfig: k.Kubeconfig, Endpoints: k.Endpoints, TokenFile: k.TokenFile, CAFile: k.CAFile})
}

func readAPI(ctx context.Context, c *kubernetes.Clientset, n *Node) apiFacts {
	f := apiFacts{denied: map[string][]string{}}
	v, err := version(ctx, c)
	f.server, f.skew, f.err = v.server, v.skew, err
	if f.err != nil {
		return f
	}
	type answer struct{ file, text string }
	var questions []authv1.ResourceAttributes
	var files []string
	for _, r := range needed(n, v.old) {
		for _, ns := range r.namespaces(n) {
			for _, verb := range r.Verbs {
				questions = append(questions, authv1.ResourceAttributes{Group: r.Group, Resource: r.Resource, Subresource: r.Subresource, Verb: verb, Namespace: ns})
				files = append(files, r.File)
			}
		}
	}
	answers := make([]answer, len(questions))
	var g errgroup.Group
	g.SetLimit(8)
	for i, q := range questions {
		g.Go(func() error {
			review, err := c.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &q}}, metav1.CreateOptions{})
			if err == nil && !review.Status.Allowed {
				answers[i] = answer{files[i], rightText(q)}
			}
			return err
		})
	}
	f.err = g.Wait()
	f.asked = len(questions)
	for _, a := range answers {
		if a.text != "" {
			f.denied[a.file] = append(f.denied[a.file], a.text)
		}
	}
	return f
}

func rightText(q authv1.ResourceAttributes) string {
	text := q.Verb + " " + q.Resource
	if q.Subresource != "" {
		text += "/" + q.Subresource
	}
	if q.Namespace != "" {
		text += " in " + q.Namespace
	}
	return text
}

// errUnknown says that the API server knows nobody by our credentials.
var errUnknown = errors.New("unauthorized")

// A serverVersion is what /version says, and the answer by the way.
type serverVersion struct {
	server string
	skew   time.Duration
	// old says that it has no EndpointSlices: it is before 1.21.
	old bool
}

// version asks for the server's version, and its clock by the way.
func version(ctx context.Context, c *kubernetes.Clientset) (v serverVersion, err error) {
	r, isClient := c.CoreV1().RESTClient().(*rest.RESTClient)
	if !isClient {
		return v, errors.New("no client to ask by")
	}
	url := c.Discovery().RESTClient().Get().AbsPath("/version").URL()
	v.server = url.Host
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), nil)
	if err != nil {
		return v, err
	}
	before := time.Now()
	resp, err := r.Client.Do(req)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		return v, errUnknown
	}
	if date, bad := http.ParseTime(resp.Header.Get("Date")); bad == nil {
		v.skew = date.Sub(before.Truncate(time.Second))
	}
	var said struct{ Major, Minor string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&said); err != nil {
		return v, fmt.Errorf("/version: %w", err)
	}
	minor, err := strconv.Atoi(strings.TrimSuffix(said.Minor, "+"))
	v.old = err == nil && said.Major == "1" && minor < 21
	return v, nil
}

// needed are the rights that the configuration makes use of.
func needed(n *Node, old bool) []Right {
	k := n.Config.L7.Kubernetes
	uses := map[string]bool{
		"":             true,
		"before 1.21":  old,
		"servers_from": len(n.Config.L4.Selectors()) > 0 || k.PodRoutes,
		"publish":      len(k.Publish) > 0 || k.Events, // one edge of all writes either
		"events":       k.Events,
		"acme":         n.Config.L7.ACME != nil && n.Config.L7.ACME.Storage == acme.InKubernetes,
	}
	return slices.DeleteFunc(slices.Clone(Rights), func(r Right) bool {
		if r.Subresource == "status" {
			return len(k.Publish) == 0
		}
		return !uses[r.For] || r.In == Cluster && r.Resource == "ingressclasses" && len(k.Namespaces) > 0
	})
}

func (r Right) namespaces(n *Node) []string {
	k := n.Config.L7.Kubernetes
	switch {
	case r.In == Own:
		return []string{k.Namespace}
	case r.In == Acme:
		return []string{n.Config.L7.ACME.Namespace}
	case r.In == Served && len(k.Namespaces) > 0:
		return k.Namespaces
	}
	return []string{""}
}

// maxSkew is how far the clocks of a cluster may be apart before tokens and
// leases are judged wrongly.
const maxSkew = 5 * time.Second

func judgeAPI(f apiFacts) []Finding {
	if f.err != nil {
		if f.server == "" { // what says where it is cannot be used
			return []Finding{fail(f.err.Error(), "no API server is asked", "portico check")}
		}
		found := fmt.Sprintf("the API server %s does not answer: %v", f.server, f.err)
		cure := "curl -sk https://" + f.server + "/version"
		if errors.Is(f.err, errUnknown) || apierrors.IsUnauthorized(f.err) {
			found = fmt.Sprintf("the API server %s does not know the token or the certificate of this node", f.server)
			cure = "kubectl create token portico -n portico --duration=8760h"
		}
		return []Finding{fail(found, "routes stay as they were last", cure)}
	}
	var out []Finding
	for _, file := range []string{"rbac.yaml", "acme.yaml"} {
		if d := f.denied[file]; len(d) > 0 {
			out = append(out, fail("the API server "+f.server+" does not allow portico to "+strings.Join(d, ", "), "what is not read is not served, and what is not written nobody sees", "kubectl apply -f /usr/share/doc/portico/kubernetes/"+file))
		}
	}
	if f.skew.Abs() > maxSkew {
		out = append(out, warn(fmt.Sprintf("the API server's clock differs from this node's by %v", f.skew), "tokens and certificates seem to have ended, or not to have begun", "timedatectl set-ntp true"))
	}
	return orOK(out, fmt.Sprintf("the API server %s answers and allows all %d things that are asked of it", f.server, f.asked))
}
