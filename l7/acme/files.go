package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// poll is how often a folder is looked at. Watches of the kernel's would miss
// what another machine does to a shared one.
const poll = time.Second

// racy is how long after a folder's last change another one may leave its time
// the same, on file systems that count in seconds.
const racy = 2 * time.Second

// Files is a Storage in a folder: of one machine, or one that all edges mount.
// One JSON file is one item; who holds the lock on the file "lock" orders, and
// the kernel releases it when the process ends in whatever way.
type Files struct {
	dir     string
	changed chan struct{}
	items   atomic.Pointer[Items]
	leads   atomic.Bool

	mu      sync.Mutex
	folders map[Kind]time.Time // when each was changed last, as of the last look
	stamps  map[Key]stamp
	err     error
}

// A stamp tells versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
	inode    uint64
}

var _ Storage = (*Files)(nil)

// NewFiles returns a Storage in dir, which is made where it does not exist, and
// read.
func NewFiles(dir string) *Files {
	f := &Files{dir: dir, changed: make(chan struct{}, 1), folders: map[Kind]time.Time{}, stamps: map[Key]stamp{}}
	f.look()
	return f
}

// Run looks at the folder until ctx ends.
func (f *Files) Run(ctx context.Context, lead func(context.Context)) error {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { f.contend(ctx, lead) })
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		f.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// contend calls lead once it holds the lock.
func (f *Files) contend(ctx context.Context, lead func(context.Context)) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if lock, err := f.lock(); err == nil {
			f.leads.Store(true)
			lead(ctx)
			f.leads.Store(false)
			lock.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (f *Files) lock() (*os.File, error) {
	if err := f.prepare(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(f.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (f *Files) prepare() error {
	for _, k := range kinds {
		if err := os.MkdirAll(filepath.Join(f.dir, string(k)), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Items is what the last look has found.
func (f *Files) Items() Items {
	if p := f.items.Load(); p != nil {
		return *p
	}
	return nil
}

// Changed rings after Items has changed.
func (f *Files) Changed() <-chan struct{} { return f.changed }

// Settle is the time of two looks.
func (f *Files) Settle() time.Duration { return 2 * poll }

// Status names the folder.
func (f *Files) Status() StorageStatus {
	s := StorageStatus{Where: f.dir}
	if f.leads.Load() {
		s.Orders = "this edge"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		s.Err = f.err.Error()
	}
	return s
}

// look reads what has changed. What cannot be read is as it was.
func (f *Files) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.Items()
	items := maps.Clone(before)
	if items == nil {
		items = Items{}
	}
	if f.err = f.prepare(); f.err != nil {
		return
	}
	different := before == nil
	for _, k := range kinds {
		changed, err := f.lookAt(k, items)
		f.err = errors.Join(f.err, err)
		different = different || changed
	}
	if different {
		f.items.Store(&items)
		ring(f.changed)
	}
}

// lookAt brings the items of one kind up to date and says whether any differ.
func (f *Files) lookAt(k Kind, items Items) (changed bool, err error) {
	dir := filepath.Join(f.dir, string(k))
	info, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	if info.ModTime().Equal(f.folders[k]) && time.Since(info.ModTime()) > racy {
		return false, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	there := make(map[Key]bool, len(entries))
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		key := Key{k, name}
		if !ok || key.valid() != nil {
			continue // a temporary file
		}
		there[key] = true
		differs, fault := f.read(key, e, items)
		changed, err = changed || differs, errors.Join(err, fault)
	}
	for key := range items {
		if key.Kind == k && !there[key] {
			delete(items, key)
			delete(f.stamps, key)
			changed = true
		}
	}
	if err == nil {
		f.folders[k] = info.ModTime()
	}
	return changed, err
}

// read reads one file unless it is the version that was read before.
func (f *Files) read(key Key, e fs.DirEntry, items Items) (changed bool, err error) {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // the next look tells
	}
	if err != nil {
		return false, err
	}
	now := stamp{modified: info.ModTime(), size: info.Size()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		now.inode = s.Ino
	}
	if f.stamps[key] == now {
		return false, nil
	}
	item, err := f.load(key)
	if item == nil || err != nil {
		return false, err
	}
	items[key], f.stamps[key] = item, now
	return true, nil
}

// Load reads an item.
func (f *Files) Load(_ context.Context, key Key) (Item, error) {
	if err := key.valid(); err != nil {
		return nil, err
	}
	return f.load(key)
}

func (f *Files) load(key Key) (Item, error) {
	data, err := os.ReadFile(f.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		return nil, fmt.Errorf("%s is none of ours: %w: remove it", f.path(key), err)
	}
	item := make(Item, len(texts))
	for k, v := range texts {
		item[k] = []byte(v)
	}
	return item, nil
}

// Store writes an item: whole, or not at all.
func (f *Files) Store(_ context.Context, key Key, item Item) error {
	err := f.put(key, item)
	f.look()
	return err
}

// Delete removes an item.
func (f *Files) Delete(_ context.Context, key Key) error {
	err := f.remove(key)
	f.look()
	return err
}

// put writes an item and leaves it to a look to find it.
func (f *Files) put(key Key, item Item) error {
	if err := key.valid(); err != nil {
		return err
	}
	texts := make(map[string]string, len(item))
	for k, v := range item {
		texts[k] = string(v)
	}
	data, err := json.MarshalIndent(texts, "", "  ")
	if err != nil {
		return err
	}
	if err := f.prepare(); err != nil {
		return err
	}
	return renameio.WriteFile(f.path(key), append(data, '\n'), 0o600, renameio.IgnoreUmask())
}

func (f *Files) remove(key Key) error {
	if err := key.valid(); err != nil {
		return err
	}
	if err := os.Remove(f.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *Files) path(key Key) string {
	return filepath.Join(f.dir, string(key.Kind), key.Name+".json")
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
