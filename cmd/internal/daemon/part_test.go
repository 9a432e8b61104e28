package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// journal notes what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, " ")
}

// part notes +name when it is ready and -name when it ends.
func (j *journal) part(name string) Part {
	return Part{name, func(ctx context.Context, ready func()) error {
		j.note("+" + name)
		ready()
		<-ctx.Done()
		j.note("-" + name)
		return nil
	}}
}

func TestPartsStartInOrderAndStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- runParts(ctx, slog.New(slog.DiscardHandler), []Part{j.part("a"), j.part("b"), j.part("c")}, func() { j.note("ready") })
		}()
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got, want := j.String(), "+a +b +c ready -c -b -a"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestPartThatFailsTakesTheOthersDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		broken := Part{"b", func(context.Context, func()) error { return errors.New("no such device") }}
		err := runParts(t.Context(), slog.New(slog.DiscardHandler), []Part{j.part("a"), broken, j.part("c")}, func() { j.note("ready") })
		if err == nil || err.Error() != "b: no such device" {
			t.Errorf("got error %v", err)
		}
		if got, want := j.String(), "+a -a"; got != want {
			t.Errorf("got %s, want %s: the third must never start, and nobody be told ready", got, want)
		}
	})
}

func TestPartThatReturnsEarlyIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := Part{"a", func(_ context.Context, ready func()) error { ready(); ready(); return nil }}
		err := runParts(t.Context(), slog.New(slog.DiscardHandler), []Part{early}, func() {})
		if err == nil || err.Error() != "a: returned before it was stopped" {
			t.Errorf("got error %v", err)
		}
	})
}
