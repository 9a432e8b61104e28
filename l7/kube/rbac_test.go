package kube_test

import (
	"os"
	"path/filepath"
	"testing"

	authv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/test/cluster"
)

// TestShippedManifests applies what the packages ship for a cluster, and asks
// what that allows: what is used, and nothing that could do harm.
func TestShippedManifests(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	apply(t, c, rbac(t)) // has the namespace of the others
	files, err := filepath.Glob("../../packaging/kubernetes/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, c, string(text))
	}
	class, err := c.Client().NetworkingV1().IngressClasses().Get(t.Context(), "portico", metav1.GetOptions{})
	if err != nil || class.Annotations["ingressclass.kubernetes.io/is-default-class"] != "" {
		t.Errorf("class %+v, %v", class, err)
	}
	for _, test := range []struct {
		namespace, group, resource, sub string
		verbs                           []string
		allowed                         bool
	}{
		{"shop", "networking.k8s.io", "ingresses", "", []string{"get", "list", "watch"}, true},
		{"shop", "networking.k8s.io", "ingresses", "", []string{"create", "update", "patch", "delete"}, false},
		{"shop", "networking.k8s.io", "ingresses", "status", []string{"patch"}, true},
		{"shop", "networking.k8s.io", "ingresses", "status", []string{"update"}, false},
		{"", "networking.k8s.io", "ingressclasses", "", []string{"list", "watch"}, true},
		{"shop", "", "services", "", []string{"list", "watch"}, true},
		{"shop", "discovery.k8s.io", "endpointslices", "", []string{"list", "watch"}, true},
		{"shop", "", "secrets", "", []string{"list", "watch"}, true},
		{"shop", "", "secrets", "", []string{"create", "update", "patch", "delete"}, false},
		{"portico", "", "secrets", "", []string{"create", "update", "delete"}, true}, // acme.yaml
		{"shop", "events.k8s.io", "events", "", []string{"get", "create", "patch"}, true},
		{"shop", "events.k8s.io", "events", "", []string{"list", "watch", "delete"}, false},
		{"portico", "coordination.k8s.io", "leases", "", []string{"get", "create", "update"}, true},
		{"shop", "coordination.k8s.io", "leases", "", []string{"get", "create", "update"}, false},
		{"", "", "nodes", "", []string{"list", "watch"}, true},
		{"", "", "nodes", "", []string{"update", "patch"}, false},
		{"shop", "", "pods", "", []string{"get", "list", "create"}, false},
		{"shop", "", "pods", "exec", []string{"create"}, false},
	} {
		for _, verb := range test.verbs {
			review, err := c.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authv1.SubjectAccessReview{
				Spec: authv1.SubjectAccessReviewSpec{
					User: "system:serviceaccount:portico:portico",
					ResourceAttributes: &authv1.ResourceAttributes{
						Namespace: test.namespace, Group: test.group, Resource: test.resource, Subresource: test.sub, Verb: verb,
					},
				},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != test.allowed {
				t.Errorf("%s of %s/%s in %q: allowed is %v", verb, test.resource, test.sub, test.namespace, review.Status.Allowed)
			}
		}
	}
}
