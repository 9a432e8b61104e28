package kube

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"

	"github.com/portico-lb/portico/l7/route"
)

const (
	// restoreAfter is how long the API server has to answer at first, before
	// what it said last is served from the disk. It has less where it refuses.
	restoreAfter = 3 * time.Second
	// settle lets what comes with a change get into the same snapshot.
	settle = time.Second
	// writeEvery spares the disk where endpoints never rest.
	writeEvery = 30 * time.Second
	// writeAgain is how long after a failure it is tried again: a disk that was
	// full is not for long, where somebody is paged.
	writeAgain = 5 * time.Second
	// touchEvery is how far the time of the snapshot may be behind.
	touchEvery = time.Minute
)

// A keeper writes snapshots to a file, whose time says when the API server last
// confirmed them.
type keeper struct {
	log     *slog.Logger
	path    string
	servers []string
	latest  chan kept // holds the last thing to write
	// fault is why it could not be written last, nil where it could.
	fault atomic.Pointer[string]
}

// kept is what there is to write.
type kept struct {
	objects  *Objects
	backends func() []route.Backend
	at       time.Time // when the API server vouched for it last; zero: never
}

// vouched is k as of now, if the API server vouches for it.
func (k kept) vouched(confirmed func() bool) kept {
	if confirmed() {
		k.at = time.Now()
	}
	return k
}

// keep has o written soon, in place of what waits for that. It does not block.
// One goroutine at a time may call it.
func (k *keeper) keep(o *Objects, backends func() []route.Backend) {
	select {
	case <-k.latest:
	default: // nothing waits
	}
	k.latest <- kept{objects: o, backends: backends}
}

// run writes until ctx ends, and what waits then. confirmed says whether the API
// server vouches for what there is: nothing else may look new on the disk. What
// it vouched for before it went away is written as of then, for what it said
// last is better than what it said half a minute before.
func (k *keeper) run(ctx context.Context, confirmed func() bool) {
	tick := time.NewTicker(touchEvery)
	defer tick.Stop()
	var written time.Time
	var owed *kept // what could not be written
	for ctx.Err() == nil {
		var again <-chan time.Time
		if owed != nil {
			again = time.After(writeAgain)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-again:
			owed = k.write(owed.vouched(confirmed))
			continue
		case next := <-k.latest:
			wait := max(settle, writeEvery-time.Since(written))
			if next, ok := k.newest(ctx, next, wait, confirmed); ok {
				owed = k.write(next)
				written = time.Now()
			}
			continue
		}
		if owed == nil { // else what the API server confirms is not what the file says
			k.touch(confirmed())
		}
	}
	select {
	case next := <-k.latest:
		if next = next.vouched(confirmed); !next.at.IsZero() {
			owed = &next
		}
	default: // nothing waits
	}
	if owed != nil {
		k.write(owed.vouched(confirmed))
	}
}

// newest returns the last that was given to keep once wait is over and the API
// server has vouched for it. Where it has not when ctx ends, it is lost.
func (k *keeper) newest(ctx context.Context, next kept, wait time.Duration, confirmed func() bool) (kept, bool) {
	due := time.NewTimer(wait)
	defer due.Stop()
	for next = next.vouched(confirmed); ; next = next.vouched(confirmed) {
		select {
		case newer := <-k.latest:
			if !next.at.IsZero() && !confirmed() {
				k.write(next) // nobody may ever vouch for what comes behind it
			}
			next = newer
		case <-due.C:
			if next = next.vouched(confirmed); !next.at.IsZero() {
				return next, true
			}
			due.Reset(settle)
		case <-ctx.Done():
			next = next.vouched(confirmed)
			return next, !next.at.IsZero()
		}
	}
}

// write returns what is owed then: next where it failed.
func (k *keeper) write(next kept) (owed *kept) {
	b, err := snapshot{k.servers, needed(next.objects, next.backends())}.encode()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(k.path), 0o700)
	}
	if err == nil {
		err = renameio.WriteFile(k.path, b, 0o600)
	}
	if err == nil {
		err = os.Chtimes(k.path, next.at, next.at)
	}
	k.note(err)
	if err != nil {
		return &next
	}
	return nil
}

// touch moves the time of the snapshot to now.
func (k *keeper) touch(confirmed bool) {
	if !confirmed {
		return
	}
	now := time.Now()
	if err := os.Chtimes(k.path, now, now); !errors.Is(err, fs.ErrNotExist) {
		k.note(err)
	}
}

// note logs a failure when it begins, and its end.
func (k *keeper) note(err error) {
	var of *fs.PathError
	if errors.As(err, &of) { // of a file with a name of its own each time
		err = fmt.Errorf("%s: %w", k.path, of.Err)
	}
	switch was := k.fault.Load(); {
	case err != nil && (was == nil || *was != err.Error()):
		text := err.Error()
		k.fault.Store(&text)
		k.log.Warn("routes cannot be remembered for a start without the API server", "err", err)
	case err == nil && was != nil:
		k.fault.Store(nil)
		k.log.Info("routes can be remembered again", "file", k.path)
	}
}

// read returns the snapshot and when the API server last confirmed it.
func (k *keeper) read() (s snapshot, confirmed time.Time, err error) {
	info, err := os.Stat(k.path)
	if err != nil {
		return s, confirmed, err
	}
	b, err := os.ReadFile(k.path)
	if err != nil {
		return s, confirmed, err
	}
	if s, err = parseSnapshot(b); err != nil {
		return s, confirmed, fmt.Errorf("%s: %w", k.path, err)
	}
	if !s.of(k.servers) {
		return s, confirmed, fmt.Errorf("%s: is of another cluster, at %q", k.path, s.servers)
	}
	return s, info.ModTime(), nil
}
