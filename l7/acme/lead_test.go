package acme_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/acme"
)

// A weak storage takes no certificate at first.
type weak struct {
	*acme.Files
	mu      sync.Mutex
	refuses int
}

func (w *weak) Store(ctx context.Context, key acme.Key, item acme.Item) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key.Kind == acme.CertificateKind && w.refuses > 0 {
		w.refuses--
		return errors.New("disk full")
	}
	return w.Files.Store(ctx, key, item)
}

// A certificate that the storage does not take is served nevertheless, is not
// ordered again, and is stored at the next try; that it is not stored is told.
func TestUnstored(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	ca, c := d.start(t)
	storage := &weak{Files: acme.NewFiles(t.TempDir()), refuses: 1}
	e := run(t, c, storage, "www.example.com")
	d.lead(e)
	pair := e.await(t, 1)[0]
	verify(t, pair, ca.Issuers(t, ca.Client(nil)))
	e.tells(t, "www.example.com", "disk full")
	key := acme.Key{Kind: acme.CertificateKind, Name: "www.example.com"}
	if storage.Items()[key] != nil {
		t.Fatal("it is stored, and the test proves nothing")
	}
	deadline := time.After(2 * time.Minute)
	for storage.Items()[key] == nil {
		select {
		case <-time.After(20 * time.Millisecond): // its bell is the Manager's
		case <-deadline:
			t.Fatal("it is never stored")
		}
	}
	if got := string(storage.Items()[key]["tls.crt"]); got != string(pair.CertPEM) {
		t.Error("it was ordered again")
	}
	e.tells(t, "www.example.com", "")
}

// tells waits until the fault of a host holds text; "" is for none.
func (e *edge) tells(t *testing.T, host, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		got, ok := e.Faults()[host]
		if ok == (text != "") && strings.Contains(got, text) {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("the fault is %q, want %q", got, text)
		}
	}
}

// What one edge was refused all others tell too, and the one that orders next
// counts on.
func TestFaultIsShared(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, c := d.start(t)
	dir := t.TempDir()
	d.lead(run(t, c, acme.NewFiles(t.TempDir()))) // knows no challenge
	first := run(t, c, acme.NewFiles(dir), "www.example.com")
	first.orders(t)
	second := run(t, c, acme.NewFiles(dir), "www.example.com")
	second.tells(t, "www.example.com", "unauthorized: ")
	first.stop()
	second.orders(t)
	var due time.Time
	for due.IsZero() {
		due = second.Status().Hosts[0].Due
	}
	if time.Until(due) < 10*time.Second {
		t.Errorf("the next order is due in %v, want the pause after a failure", time.Until(due))
	}
}
