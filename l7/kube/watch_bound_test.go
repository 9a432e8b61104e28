package kube

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// TestHungWatchEnds: one that the API server does not end in time is ended here,
// and one that is ended before leaves nothing behind.
func TestHungWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seconds := int64(90)
		fake := watch.NewFake()
		began := time.Now()
		for range bound(fake, metav1.ListOptions{TimeoutSeconds: &seconds}).ResultChan() {
			t.Error("it says something")
		}
		if took := time.Since(began); took != 90*time.Second+watchGrace {
			t.Errorf("it ended after %v", took)
		}
		fake = watch.NewFake()
		b := bound(fake, metav1.ListOptions{})
		b.Stop()
		fake.Reset()
		time.Sleep(time.Hour)
		if fake.IsStopped() {
			t.Error("it was ended a second time")
		}
	})
}

// TestOldServerIsTold: an API server from before what is read says its version.
func TestOldServerIsTold(t *testing.T) {
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			fmt.Fprint(w, `{"major": "1", "minor": "18", "gitVersion": "v1.18.20"}`)
			return
		}
		http.NotFound(w, r)
	}))
	defer api.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := NewWatcher(WatchOptions{Log: slog.New(slog.DiscardHandler), Endpoints: []string{api.URL}, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx, func() { t.Error("ready without objects") }) }()
	var seen []string
	for len(seen) < 2 {
		<-w.troubled
		w.mu.Lock()
		seen = seen[:0]
		for _, r := range w.readings {
			if strings.Contains(r.err, " it is Kubernetes v1.18.20 and that came with 1.") {
				seen = append(seen, r.what)
			}
		}
		w.mu.Unlock()
		runtime.Gosched()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want := []string{"ingresses", "ingressclasses"}; !slices.Equal(seen, want) {
		t.Errorf("told of %q, want %q", seen, want)
	}
}
