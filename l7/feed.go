package l7

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
)

// A feed is a source that runs.
type feed struct {
	kube.Source
	config Kubernetes
	// synced is closed once the source has read everything.
	synced chan struct{}
	cancel context.CancelFunc
	// publisher writes to the API server; nil where nothing is to be written.
	// retire ends it.
	publisher *kube.Publisher
	retire    context.CancelFunc
}

// snapshotFile is the file below l7.state_dir that keeps what the API server
// said last.
const snapshotFile = "kubernetes.snapshot"

// newFeed makes the source that k names. An API server's
// objects are kept in stateDir, unless that is empty; the first source of a
// process serves them where the API server does not answer.
func newFeed(log *slog.Logger, k Kubernetes, stateDir string, first bool) (*feed, error) {
	f := &feed{config: k, synced: make(chan struct{})}
	snapshot := ""
	if stateDir != "" {
		snapshot = filepath.Join(stateDir, snapshotFile)
	}
	var err error
	switch {
	case k.Manifests != "":
		f.Source, err = kube.NewFolder(k.Manifests, log)
	case k.API():
		o := k.watch(log)
		o.Snapshot, o.Restore = snapshot, first
		f.Source, err = kube.NewWatcher(o)
	default:
		f.Source = kube.Nothing{}
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// watch says which API server k names, and what of it is read.
func (k Kubernetes) watch(log *slog.Logger) kube.WatchOptions {
	return kube.WatchOptions{
		Log:           log,
		Kubeconfig:    k.Kubeconfig,
		Endpoints:     k.Endpoints,
		TokenFile:     k.TokenFile,
		CAFile:        k.CAFile,
		Namespaces:    k.Namespaces,
		LabelSelector: k.LabelSelector,
	}
}

func (f *feed) start(ctx context.Context, group *sync.WaitGroup, fail func(error)) {
	ctx = context.WithoutCancel(ctx) // ended by stop
	reading, stop := context.WithCancel(ctx)
	f.cancel, f.retire = stop, func() {}
	if f.publisher != nil {
		writing, retire := context.WithCancel(ctx)
		gone := make(chan struct{})
		group.Go(func() {
			defer close(gone)
			if err := f.publisher.Run(writing); err != nil {
				fail(err)
			}
		})
		f.retire = retire
		f.cancel = func() {
			retire()
			group.Go(func() { // its farewell takes the source's connections
				<-gone
				stop()
			})
		}
	}
	group.Go(func() {
		err := f.Run(reading, sync.OnceFunc(func() { close(f.synced) }))
		if err != nil && reading.Err() == nil {
			fail(err)
		}
	})
}

// stop ends the source; that of a nil feed is none.
func (f *feed) stop() {
	if f != nil {
		f.cancel()
	}
}

// resign leaves it to another edge to write; what is read goes on.
func (f *feed) resign() {
	if f != nil {
		f.retire()
	}
}

// reread has a folder read again now, as SIGHUP asks; a watch is always up to
// date.
func (f *feed) reread() {
	if folder, ok := f.Source.(*kube.Folder); ok {
		folder.Reload()
	}
}

// keep has what is served outlive a boot; a folder does so by itself.
func (f *feed) keep(o *kube.Objects, backends func() []route.Backend) {
	if w, ok := f.Source.(*kube.Watcher); ok {
		w.Keep(o, backends)
	}
}

// ready is closed once a new source has read everything; that of none never is.
func (f *feed) ready() <-chan struct{} {
	if f == nil {
		return nil
	}
	return f.synced
}

// changed rings when the source has something new; that of none never does.
func (f *feed) changed() <-chan struct{} {
	if f == nil {
		return nil
	}
	return f.Changed()
}
