package kube

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
)

// pollInterval is how often a Folder looks for changes. Polling costs one stat
// a file and sees what inotify does not: a change on a network file system, or
// behind a symbolic link, which is how a ConfigMap is mounted.
const pollInterval = time.Second

// maxProblems bounds the problems in a Folder's Status. The log has them all.
const maxProblems = 100

// A Folder is a Source that reads the *.yaml, *.yml and *.json files of a
// folder, without those of its subfolders and those whose name starts with a
// dot, and follows their changes.
//
// What is malformed costs only itself: the last good version of an object that
// cannot be read any more is served until the object can be read again or is
// gone from a file that can.
type Folder struct {
	log *slog.Logger
	dir string

	objects atomic.Pointer[Objects]
	status  atomic.Pointer[SourceStatus]
	changed chan struct{}
	reload  chan struct{}

	// Run's alone.
	files    map[string]*file
	problems map[Problem]bool // those that have been logged
}

var _ Source = (*Folder)(nil)

// NewFolder returns a Source for the manifests in dir, which must exist.
func NewFolder(dir string, log *slog.Logger) (*Folder, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return nil, fmt.Errorf("manifests %s: %w: create it, or correct l7.kubernetes.manifests", dir, err)
	}
	f := &Folder{
		log:     log,
		dir:     dir,
		changed: make(chan struct{}, 1),
		reload:  make(chan struct{}, 1),
		files:   make(map[string]*file),
	}
	f.status.Store(&SourceStatus{From: dir})
	return f, nil
}

// Objects returns what the folder holds, nil before it was read once.
func (f *Folder) Objects() *Objects { return f.objects.Load() }

// Changed rings when Objects has changed.
func (f *Folder) Changed() <-chan struct{} { return f.changed }

// Status describes the folder.
func (f *Folder) Status() SourceStatus { return *f.status.Load() }

// Reload has Run look for changes now and read a file that is being written
// without waiting for it to settle.
func (f *Folder) Reload() { ring(f.reload) }

// Run follows the folder until ctx ends.
func (f *Folder) Run(ctx context.Context, ready func()) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	settle := false
	for {
		synced := f.objects.Load() != nil
		f.poll(settle)
		if !synced && f.objects.Load() != nil {
			ready()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.reload:
			settle = false
		case <-ticker.C:
			settle = true
		}
	}
}

// poll reads what has changed and publishes it. Where the folder cannot be
// listed everything stays as it is.
func (f *Folder) poll(settle bool) {
	status := *f.status.Load()
	found, err := list(f.dir)
	if err != nil {
		if status.Err != err.Error() {
			f.log.Error("manifests not readable", "dir", f.dir, "err", err)
			status.Err, status.ErrSince = err.Error(), time.Now()
			f.status.Store(&status)
		}
		return
	}
	if status.Err != "" {
		f.log.Info("manifests readable again", "dir", f.dir)
		status.Err, status.ErrSince = "", time.Time{}
		f.status.Store(&status)
	}
	if f.readChanged(found, settle) || !status.Synced {
		f.publish(status)
		if status.Synced { // or else whoever waits for it makes more to give back
			returnMemory(found)
		}
	}
}

// returnMemory gives the kernel back what the reading of large files took,
// which is several times what stays of them.
func returnMemory(read map[string]stamp) {
	const large = 1 << 20
	var size int64
	for _, s := range read {
		size += s.size
	}
	if size >= large {
		debug.FreeOSMemory()
	}
}

// readChanged brings files up to date with the stamps found and reports
// whether it read or forgot any.
func (f *Folder) readChanged(found map[string]stamp, settle bool) bool {
	changed := false
	for name := range found {
		if f.files[name] == nil {
			f.files[name] = &file{}
		}
	}
	for name, have := range f.files {
		switch s := found[name]; {
		case s == have.stamp:
		case settle && s != have.seen:
			// Perhaps it is being written: whoever truncates it first must not
			// take the routes away. Wait until it is the same twice.
			have.seen = s
		case s == (stamp{}):
			delete(f.files, name)
			changed = true
		default:
			have.read(f.dir, name, s)
			changed = true
		}
	}
	return changed
}

// publish makes Objects of all files and rings if they differ from the last.
func (f *Folder) publish(status SourceStatus) {
	manifests, faults := merge(f.files)
	next := newObjects(manifests, f.objects.Load())
	if last := f.objects.Load(); last == nil || next.Gen != last.Gen {
		f.objects.Store(next)
		status.Changed = time.Now()
		defer ring(f.changed)
	}
	status.Synced = true
	status.Counts = next.Count()
	status.Problems = f.report(faults)
	f.status.Store(&status)
}

// report logs the faults that were not there before and returns them all as
// problems.
func (f *Folder) report(faults []fault) []Problem {
	logged := make(map[Problem]bool, len(faults))
	var out []Problem
	for _, flt := range faults {
		p := flt.problem()
		if !f.problems[p] && !logged[p] {
			f.log.Warn("manifest has a problem", "file", flt.place.file, "document", flt.place.document,
				"line", flt.place.line, "item", flt.place.item, "object", flt.key.String(), "problem", flt.text)
		}
		logged[p] = true
		if len(out) < maxProblems {
			out = append(out, p)
		}
	}
	if n := len(faults) - len(out); n > 0 {
		out = append(out, Problem{Object: f.dir, Text: fmt.Sprintf("%d problems more: the log has them", n)})
	}
	f.problems = logged
	return out
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}

// merge puts the files together. Of an object that stands twice the first one
// in the order of file names and documents is used, and one that can be read
// before one that could once.
func merge(files map[string]*file) ([]*manifest, []fault) {
	n := 0
	for _, f := range files {
		n += len(f.manifests)
	}
	manifests := make([]*manifest, 0, n)
	var faults []fault
	var at map[key]int // nil where no object stands twice, as is usual: it is large
	if !distinct(files, n) {
		at = make(map[key]int, n)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		faults = append(faults, files[name].faults...)
		own := files[name].manifests
		for i := range own {
			m := &own[i]
			if at == nil {
				manifests = append(manifests, m)
				continue
			}
			first, ok := at[m.key()]
			switch {
			case !ok:
				at[m.key()] = len(manifests)
				manifests = append(manifests, m)
			case m.kept:
			case manifests[first].kept:
				manifests[first] = m
			default:
				faults = append(faults, fault{place: m.place, key: m.key(),
					text: fmt.Sprintf("stands at %s already, which is used: remove one of the two", manifests[first].place)})
			}
		}
	}
	return manifests, faults
}

// distinct reports that none of the n objects stands twice. Once in a very long
// while it does not although it might.
func distinct(files map[string]*file, n int) bool {
	seed := maphash.MakeSeed()
	hashes := make([]uint64, 0, n)
	for _, f := range files {
		for _, m := range f.manifests {
			hashes = append(hashes, maphash.Comparable(seed, m.key()))
		}
	}
	slices.Sort(hashes)
	return len(slices.Compact(hashes)) == n
}

// list returns the stamp of each manifest in dir.
func list(dir string) (map[string]stamp, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := make(map[string]stamp)
	for _, e := range entries {
		if !isManifest(e.Name()) {
			continue
		}
		if s := newStamp(filepath.Join(dir, e.Name())); s != (stamp{}) {
			found[e.Name()] = s
		}
	}
	return found, nil
}
