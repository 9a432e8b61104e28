package doctor

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/portico-lb/portico/l7"
)

// TestReadAPI asks a server that reviews access as Kubernetes does.
func TestReadAPI(t *testing.T) {
	clock := time.Now()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Date", clock.UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/version" {
			_, _ = w.Write([]byte(`{"major":"1","minor":"20+"}`))
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var review authv1.SelfSubjectAccessReview
		if _, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, &review); err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
		a := review.Spec.ResourceAttributes
		review.Status.Allowed = a.Resource != "secrets" && a.Verb != "patch" && a.Resource+a.Verb != "endpointslist"
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	n := &Node{}
	n.Config.L7.Kubernetes = l7.Kubernetes{
		Endpoints: []string{s.URL}, Namespaces: []string{"shop"}, Publish: []string{"192.0.2.10"}, Namespace: "portico",
		CAFile:    write("ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
		TokenFile: write("token", []byte("good")),
	}
	found := checkAPI(t.Context(), n)
	const want = "does not allow portico to get secrets in shop, list secrets in shop, watch secrets in shop, list endpoints in shop, patch ingresses/status in shop"
	if len(found) != 1 || found[0].Verdict != Fail || !strings.HasSuffix(found[0].Found, want) {
		t.Errorf("%+v", found)
	}
	clock = clock.Add(time.Hour)
	if found := checkAPI(t.Context(), n); len(found) != 2 || found[1].Verdict != Warn || !strings.Contains(found[1].Found, "clock differs from this node's by 1h0m") && !strings.Contains(found[1].Found, "by 59m5") {
		t.Errorf("%+v", found)
	}
	n.Config.L7.Kubernetes.TokenFile = write("token2", []byte("bad"))
	if found := checkAPI(t.Context(), n); len(found) != 1 || !strings.Contains(found[0].Found, "does not know the token") {
		t.Errorf("%+v", found)
	}
	s.Close()
	if found := checkAPI(t.Context(), n); len(found) != 1 || !strings.Contains(found[0].Found, "does not answer") {
		t.Errorf("%+v", found)
	}
}
