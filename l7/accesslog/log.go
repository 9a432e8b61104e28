package accesslog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Log writes the access log that a Config describes. New starts nothing; Run
// blocks.
type Log struct {
	config Config
	log    *slog.Logger
	plan   *plan

	encoders sync.Pool
	buffer   *buffer
	// requests counts those that have ended, lost the lines that were to be
	// written and were not.
	requests, lost, written atomic.Uint64

	asked  chan struct{} // rings where the file is to be opened anew
	filled chan struct{} // rings where it has been rotated
	state  atomic.Pointer[state]
}

// state is what the writer tells of the file.
type state struct {
	fault   string
	size    int64
	rotated time.Time
}

// A Status is what `portico status` shows of a log.
type Status struct {
	File string `json:"file"`
	// Lines have been written by this process since the configuration of the
	// log changed, Lost are those that the disk did not take in time, or at
	// all.
	Lines uint64 `json:"lines"`
	Lost  uint64 `json:"lost"`
	// Size is the file's, in bytes; Rotated is when it was begun in place of
	// another one.
	Size    int64     `json:"size"`
	Rotated time.Time `json:"rotated,omitzero"`
	// Error is why nothing is written now.
	Error string `json:"error,omitempty"`
}

// New returns a Log that keeps lines, up to c.Buffer, until Run writes them.
func New(c Config, log *slog.Logger) *Log {
	l := &Log{
		config: c, log: log, plan: newPlan(c), buffer: newBuffer(c.Buffer),
		asked: make(chan struct{}, 1), filled: make(chan struct{}, 1),
	}
	l.encoders.New = func() any { return newEncoder() }
	l.state.Store(&state{})
	return l
}

// Fields reports whether lines show fields of requests, and of responses.
func (l *Log) Fields() (request, response bool) { return l.plan.fields() }

// Reopen has the file opened anew, for whoever has moved it away.
func (l *Log) Reopen() { ring(l.asked) }

// Status returns what the log does now.
func (l *Log) Status() Status {
	s := l.state.Load()
	return Status{
		File: l.config.File, Lines: l.written.Load(), Lost: l.lost.Load(),
		Size: s.size, Rotated: s.rotated, Error: s.fault,
	}
}

// Ended takes the line of a request. It reports false where Run has ended:
// another log is told then.
func (l *Log) Ended(r *Record) bool {
	count := l.requests.Add(1)
	if !l.config.Filter.Keeps(r) {
		return true
	}
	e := l.encoders.Get().(*encoder)
	e.count = count
	err := l.buffer.add(e.encode(l.plan, r))
	if errors.Is(err, errFull) {
		l.lost.Add(1)
	}
	if cap(e.line) <= chunkSize { // a rare giant is not kept
		l.encoders.Put(e)
	}
	return !errors.Is(err, errClosed)
}

// How long lines wait for company, and how often a file is looked for that
// could not be opened.
const (
	gather    = 100 * time.Millisecond
	openRetry = time.Second
)

// Run writes until ctx ends, and then what still waits.
func (l *Log) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	if l.config.Rotate.Keep > 0 {
		group.Go(func() { l.keep(ctx) })
	}
	group.Go(func() { l.tell(ctx) })
	f := &file{path: l.config.File, rotate: l.config.Rotate}
	defer f.close()
	l.write(f, false) // opens it: an operator looks for the file, not for the first line
	for {
		var retry <-chan time.Time
		if f.f == nil {
			retry = time.After(openRetry)
		}
		select {
		case <-ctx.Done():
			l.write(f, true)
			return nil
		case <-l.asked:
			f.close()
		case <-retry:
		case <-l.buffer.bell:
			l.linger(ctx)
		}
		l.write(f, false)
	}
}

// linger gives lines the time to become a write's worth.
func (l *Log) linger(ctx context.Context) {
	t := time.NewTimer(gather)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.buffer.urgent:
	case <-l.asked:
		l.Reopen() // its turn comes behind the lines
	case <-ctx.Done():
	}
}

// write writes what waits to f, which it opens and rotates as needed. While
// there is no file, lines go on waiting, unless this is the end.
func (l *Log) write(f *file, end bool) {
	f.ensure()
	if f.f != nil || end {
		for _, c := range l.buffer.take(end) {
			if f.f != nil && f.full(len(c), time.Now()) {
				f.rotateAway(time.Now())
				ring(l.filled)
			}
			n := f.write(c)
			l.written.Add(uint64(bytes.Count(c[:n], newline)))
			l.lost.Add(uint64(bytes.Count(c[n:], newline)))
			l.buffer.done(c)
		}
	}
	l.report(f)
}

var newline = []byte("\n")

// report publishes how f stands, and logs when that changes.
func (l *Log) report(f *file) {
	before := l.state.Load()
	now := &state{size: f.size, rotated: f.rotated}
	err := errors.Join(f.fault, f.stuck)
	if err != nil {
		now.fault = err.Error()
	}
	l.state.Store(now)
	switch {
	case now.fault == before.fault:
	case err != nil:
		l.log.Error("access log at fault", "file", f.path, "err", err)
	default:
		l.log.Info("access log written again", "file", f.path)
	}
}

// tellEvery is how often losses are told.
const tellEvery = 10 * time.Second

// tell logs losses. It is no business of the writer's, which may hang in a
// write.
func (l *Log) tell(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	var told uint64
	for {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if lost := l.lost.Load(); lost != told {
			l.log.Warn("lines of the access log are lost", "file", l.config.File, "lost", lost-told, "total", lost)
			told = lost
		}
		if ctx.Err() != nil {
			return
		}
	}
}
