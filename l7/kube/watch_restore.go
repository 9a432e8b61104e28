package kube

import (
	"context"
	"errors"
	"io/fs"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/route"
)

// Keep has what is needed of o to serve by these backends outlive a boot. Call
// it with what is served, from one goroutine at a time; it does not block, and
// backends is called later.
func (w *Watcher) Keep(o *Objects, backends func() []route.Backend) {
	if w.keeper != nil && o != nil {
		w.keeper.keep(o, backends)
	}
}

// confirmed reports whether the API server vouches for all there is that may be
// read: what comes from the disk must not look newer there than it is.
func (w *Watcher) confirmed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.readings {
		if r.refused == "" && (r.restored || r.err != "") {
			return false
		}
	}
	return true
}

// bridge lets an edge that starts while its API server does not answer serve
// what that said last, and one that may not read everything go without.
func (w *Watcher) bridge(ctx context.Context) {
	late := time.NewTimer(restoreAfter)
	defer late.Stop()
	for troubled := w.troubled; ; troubled = nil {
		select {
		case <-ctx.Done():
			return
		case <-w.synced:
			return
		case <-troubled:
			w.restore()
			continue
		case <-late.C:
		}
		w.restore()
		w.goWithout()
		return
	}
}

// restore reads the snapshot, and takes from it what has not been read.
func (w *Watcher) restore() {
	if w.keeper == nil {
		return
	}
	s, confirmed, err := w.keeper.read()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		w.log.Warn("what the kubernetes API said last is lost", "err", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restored = confirmed
	w.log.Warn("kubernetes API has not answered yet, serving what it said last", "file", w.keeper.path,
		"as_of", confirmed, "age", time.Since(confirmed).Round(time.Second).String(), "ingresses", len(s.objects.Ingresses))
	restore(&w.ingresses, s.objects.Ingresses)
	restore(&w.classes, s.objects.Classes)
	restore(&w.services, s.objects.Services)
	restore(&w.slices, s.objects.Slices)
	restore(&w.secrets, s.objects.Secrets)
}

// restore fills the stores that have not been read. mu is held.
func restore[T metav1.Object](k *kind[T], all []T) {
	for _, s := range k.stores {
		if !s.reading.synced {
			s.restore(all)
			s.reading.restored = true
			s.w.markSynced(s.reading)
		}
	}
}

// goWithout has what may not be read, now and from now on, count as nothing
// there, so that a right that is missing costs no more than what it is for.
func (w *reader) goWithout() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tolerant = true
	for _, r := range w.readings {
		if r.refused != "" {
			w.without(r)
		}
	}
}

// without notes that r is done without. mu is held.
func (w *reader) without(r *reading) {
	if r.synced {
		return
	}
	w.log.Warn("going without objects that may not be read", "objects", r.what, "err", r.refused)
	w.markSynced(r)
}
