package kubeproxy

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-lb/portico/test/lab"
)

// What the cluster holds: one Service with one endpoint, as JSON of the
// Kubernetes API.
var lists = map[string]string{
	"/api/v1/nodes": `{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{
		"metadata":{"name":"director","uid":"1","resourceVersion":"1"},
		"status":{"addresses":[{"type":"InternalIP","address":"172.20.0.1"}]}}]}`,
	"/api/v1/services": `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{
		"metadata":{"name":"web","namespace":"default","uid":"2","resourceVersion":"1"},
		"spec":{"type":"ClusterIP","clusterIP":"10.96.0.10","clusterIPs":["10.96.0.10"],"ipFamilies":["IPv4"],"sessionAffinity":"None",
			"ports":[{"name":"http","protocol":"TCP","port":80,"targetPort":8080}]}}]}`,
	"/apis/discovery.k8s.io/v1/endpointslices": `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[{
		"metadata":{"name":"web-1","namespace":"default","uid":"3","resourceVersion":"1","labels":{"kubernetes.io/service-name":"web"}},
		"addressType":"IPv4","endpoints":[{"addresses":["172.20.0.11"],"conditions":{"ready":true}}],
		"ports":[{"name":"http","protocol":"TCP","port":8080}]}]}`,
	"/apis/networking.k8s.io/v1/servicecidrs": `{"kind":"ServiceCIDRList","apiVersion":"networking.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[]}`,
}

// serveAPI serves as much of a Kubernetes API as kube-proxy asks for, to the
// node alone, and returns the path of a kubeconfig. A whole API server would
// take minutes to start in an emulated machine, and do no more for kube-proxy.
func serveAPI(t *testing.T, n *lab.Node) (kubeconfig string) {
	t.Helper()
	const address = "127.0.0.1:6443"
	n.Serve(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		list, ok := lists[r.URL.Path]
		name, one := strings.CutPrefix(r.URL.Path, "/api/v1/nodes/")
		query := r.URL.Query()
		switch {
		case query.Get("sendInitialEvents") == "true":
			refuse(w, http.StatusUnprocessableEntity, "Invalid") // clients then list before they watch
		case ok && query.Get("watch") != "":
			w.(http.Flusher).Flush()
			<-r.Context().Done() // nothing ever changes
		case ok:
			fmt.Fprint(w, list)
		case one:
			fmt.Fprintf(w, `{"kind":"Node","apiVersion":"v1","metadata":{"name":%q,"uid":"1","resourceVersion":"1"},
				"status":{"addresses":[{"type":"InternalIP","address":"172.20.0.1"}]}}`, name)
		default:
			refuse(w, http.StatusNotFound, "NotFound")
		}
	}))
	path := filepath.Join(n.Dir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c",
		"clusters":[{"name":"c","cluster":{"server":"http://%s"}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
		"users":[{"name":"u","user":{}}]}`, address)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func refuse(w http.ResponseWriter, code int, reason string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, code)
}
