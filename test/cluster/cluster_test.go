package cluster_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/cluster"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: shop}
  spec: {ports: [{name: http, port: 80, targetPort: 8080}]}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata:
    name: web-1
    namespace: shop
    labels: {kubernetes.io/service-name: web}
    resourceVersion: "7"
  addressType: IPv4
  ports: [{name: http, port: 8080}]
  endpoints: [{addresses: [10.244.0.5]}]
---
---
apiVersion: v1
kind: Secret
metadata: {name: web-tls, namespace: shop}
type: kubernetes.io/tls
stringData: {tls.crt: "", tls.key: ""}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  tls: [{hosts: [shop.example], secretName: web-tls}]
  rules:
  - host: shop.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
`

// names lists what shop made, as client sees it.
func names(t *testing.T, client kubernetes.Interface) (all []string) {
	t.Helper()
	lists := []func() (runtime.Object, error){
		func() (runtime.Object, error) {
			return client.CoreV1().Services("shop").List(t.Context(), metav1.ListOptions{})
		},
		func() (runtime.Object, error) {
			return client.DiscoveryV1().EndpointSlices("shop").List(t.Context(), metav1.ListOptions{})
		},
		func() (runtime.Object, error) {
			return client.CoreV1().Secrets("shop").List(t.Context(), metav1.ListOptions{})
		},
		func() (runtime.Object, error) {
			return client.NetworkingV1().Ingresses("shop").List(t.Context(), metav1.ListOptions{})
		},
	}
	for _, list := range lists {
		objects, err := list()
		if err != nil {
			t.Fatal(err)
		}
		err = meta.EachListItem(objects, func(o runtime.Object) error {
			all = append(all, fmt.Sprintf("%T %s", o, o.(metav1.Object).GetName()))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

var shopNames = []string{"*v1.Service web", "*v1.EndpointSlice web-1", "*v1.Secret web-tls", "*v1.Ingress web"}

func TestStopAndRestart(t *testing.T) {
	began := time.Now()
	c := cluster.Start(t, cluster.Options{})
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))

	if err := c.Apply(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), shop); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	if got := names(t, c.Client()); !slices.Equal(got, shopNames) {
		t.Fatalf("got %q, want %q", got, shopNames)
	}

	url := c.URL()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Client().ServerVersion(); err == nil {
		t.Fatal("the API server answers after Stop")
	}
	began = time.Now()
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready again after %v", time.Since(began).Round(time.Millisecond))
	if c.URL() != url {
		t.Errorf("moved from %s to %s", url, c.URL())
	}
	if got := names(t, c.Client()); !slices.Equal(got, shopNames) {
		t.Fatalf("after a restart got %q, want %q", got, shopNames)
	}
}

func TestApplyNamesWhatIsRefused(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	err := c.Apply(t.Context(), strings.ReplaceAll(shop, "10.244.0.5", "127.0.0.1"))
	if err == nil || !strings.Contains(err.Error(), "apply EndpointSlice shop web-1: ") {
		t.Fatalf("a loopback endpoint: %v", err)
	}
}

func TestRBAC(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	if err := c.Apply(t.Context(), shop+`
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [services], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: shop}]
`); err != nil {
		t.Fatal(err)
	}
	token, err := c.Token(t.Context(), "shop", "reader")
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(&rest.Config{
		Host:            c.URL(),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.CAFile()},
	})
	if _, err := client.CoreV1().Services("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("what the role allows: %v", err)
	}
	if _, err := client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("what it does not: got %v, want forbidden", err)
	}
}

func TestKubeconfig(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	info, err := os.Stat(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kubernetes.NewForConfigOrDie(config).CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
}

// TestInNetNS runs the API server at an address that only a namespace has, from
// a test that stands outside.
func TestInNetNS(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	addr := netip.MustParseAddr("10.246.0.1")
	c := cluster.Start(t, cluster.Options{Addr: addr, Do: cluster.InNetNS(newNamespace(t, addr))})
	if err := c.Apply(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	if got := names(t, c.Client()); !slices.Equal(got, shopNames) {
		t.Fatalf("got %q, want %q", got, shopNames)
	}
}

// newNamespace returns the path of a network namespace that has addr.
func newNamespace(t *testing.T, addr netip.Addr) string {
	name := fmt.Sprintf("portico-cluster-%d", os.Getpid())
	made := make(chan error)
	go func() {
		goruntime.LockOSThread() // the thread stays in the namespace and dies here
		made <- func() error {
			if _, err := netns.NewNamed(name); err != nil {
				return err
			}
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			if err := netlink.LinkSetUp(lo); err != nil {
				return err
			}
			a, err := netlink.ParseAddr(addr.String() + "/32")
			if err != nil {
				return err
			}
			return netlink.AddrAdd(lo, a)
		}()
	}()
	t.Cleanup(func() { netns.DeleteNamed(name) })
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	return filepath.Join("/run/netns", name)
}
