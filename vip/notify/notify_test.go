package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a Notifier in a bubble of time, with histories to add to and a
// Send that a test scripts.
type world struct {
	*Notifier
	stop func()

	mu      sync.Mutex
	history []Event
	seq     map[string]uint64
	log     []string // what was attempted: "12s web edge1 Active"
	begun   time.Time
	answer  func(ctx context.Context, t Target, e Event) error
}

func start(t *testing.T, answer func(context.Context, Target, Event) error, targets ...Target) *world {
	w := &world{seq: map[string]uint64{}, begun: time.Now(), answer: answer}
	w.start(t, targets...)
	return w
}

func (w *world) start(t *testing.T, targets ...Target) {
	w.Notifier = New(Options{Log: slog.New(slog.DiscardHandler), Node: "edge-1", Recent: w.recent, Send: w.send})
	for i := range targets {
		if targets[i].Timeout == 0 {
			targets[i].Timeout = 10 * time.Second
		}
	}
	w.Set(Config{targets})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	ready := make(chan struct{})
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	go func() {
		defer close(ended)
		if err := w.Run(ctx, func() { close(ready) }); err != nil {
			t.Error(err)
		}
	}()
	<-ready
	synctest.Wait()
}

func (w *world) recent() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Event{}, w.history...)
}

func (w *world) send(ctx context.Context, t Target, e Event) error {
	w.mu.Lock()
	w.log = append(w.log, fmt.Sprintf("%v %s %s%d %s", time.Since(w.begun), t.Name, e.Group, e.Seq, e.To))
	w.mu.Unlock()
	return w.answer(ctx, t, e)
}

// turn adds a transition without a kick.
func (w *world) turn(group, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq[group]++
	w.history = append(w.history, Event{Group: group, To: to, Seq: w.seq[group], At: time.Now()})
	time.Sleep(time.Millisecond) // no two transitions at one instant
}

func (w *world) tell(group, to string) {
	w.turn(group, to)
	w.Kick()
	synctest.Wait()
}

func (w *world) attempts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.log, "\n")
}

func ok(context.Context, Target, Event) error           { return nil }
func hang(ctx context.Context, _ Target, _ Event) error { <-ctx.Done(); return ctx.Err() }

func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, ok,
			Target{Name: "all"},
			Target{Name: "owners", States: []string{"Active", "Fault"}},
			Target{Name: "blue", Groups: []string{"blue"}})
		defer w.stop()
		w.tell("edge", "Backup")
		w.tell("edge", "Active")
		w.tell("blue", "Backup")
		got := map[string]int{}
		for _, s := range w.Status() {
			got[s.Name] = int(s.Sent)
		}
		if got["all"] != 3 || got["owners"] != 1 || got["blue"] != 1 {
			t.Errorf("%v\n%s", got, w.attempts())
		}
	})
}

// What happened before the start is not told, what no kick spoke of is told
// with the next, and nothing is told twice, neither after a reload nor to a
// target that is new.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{seq: map[string]uint64{}, begun: time.Now(), answer: ok}
		w.turn("edge", "Backup")
		w.start(t, Target{Name: "web"})
		defer w.stop()
		w.turn("edge", "Active")
		w.tell("edge", "Backup")
		w.Kick()
		synctest.Wait()
		w.Set(Config{[]Target{{Name: "web", Timeout: time.Minute, States: []string{"Active"}}, {Name: "new", Timeout: time.Second}}})
		synctest.Wait()
		w.tell("edge", "Fault")
		if got, want := w.attempts(), "3ms web edge2 Active\n3ms web edge3 Backup\n4ms new edge4 Fault"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestRetries(t *testing.T) {
	refused := errors.New("refused")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(context.Context, Target, Event) error { return refused }, Target{Name: "web", Retries: 7})
		defer w.stop()
		w.tell("edge", "Active")
		if s := w.Status()[0]; s.Waiting != 1 || s.LastError != "refused" {
			t.Errorf("between attempts: %+v", s)
		}
		time.Sleep(3 * time.Minute)
		var at []string
		for _, line := range strings.Split(w.attempts(), "\n") {
			when, _, _ := strings.Cut(line, " ")
			at = append(at, when)
		}
		if got := strings.Join(at, " "); got != "1ms 1.001s 3.001s 7.001s 15.001s 31.001s 1m1.001s 1m31.001s" {
			t.Errorf("attempts at %s", got)
		}
		if s := w.Status()[0]; s.Failed != 1 || s.Sent != 0 || s.Waiting != 0 || s.LastError != "refused" {
			t.Errorf("after the last: %+v", s)
		}
	})
}

func TestNoRetryOfPermanentErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(context.Context, Target, Event) error {
			return fmt.Errorf("wrapped: %w", permanentError{errors.New("answer 404")})
		}, Target{Name: "web", Retries: 7})
		defer w.stop()
		w.tell("edge", "Active")
		time.Sleep(time.Hour)
		if s := w.Status()[0]; s.Failed != 1 || strings.Count(w.attempts(), "web") != 1 {
			t.Errorf("%+v\n%s", s, w.attempts())
		}
	})
}

func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		w := start(t, func(context.Context, Target, Event) error {
			if tries++; tries < 3 {
				return errors.New("refused")
			}
			return nil
		}, Target{Name: "web", Retries: 3})
		defer w.stop()
		w.tell("edge", "Active")
		time.Sleep(time.Minute)
		if s := w.Status()[0]; s.Sent != 1 || s.Failed != 0 || s.LastError != "" || s.LastSent.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// A target that hangs holds up nobody: others are told at once, and when it
// answers again it gets the latest of each group, in order.
func TestHangingTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		hanging := true
		var got []uint64
		w := start(t, func(ctx context.Context, target Target, e Event) error {
			mu.Lock()
			defer mu.Unlock()
			if target.Name == "good" {
				return nil
			}
			if hanging {
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				return ctx.Err()
			}
			got = append(got, e.Seq)
			return nil
		}, Target{Name: "bad"}, Target{Name: "good"})
		defer w.stop()
		before := time.Now()
		for range 100 {
			w.tell("edge", "Active")
		}
		if s := w.Status()[1]; s.Sent != 100 || time.Since(before) > time.Second {
			t.Errorf("the good one after %v: %+v", time.Since(before), s)
		}
		if s := w.Status()[0]; s.Waiting != perGroup+1 || s.Dropped != 100-perGroup-1 {
			t.Errorf("the hanging one: %+v", s)
		}
		mu.Lock()
		hanging = false
		mu.Unlock()
		time.Sleep(time.Minute)
		s := w.Status()[0]
		if s.Sent != perGroup || s.Failed != 1 || s.Waiting != 0 || s.LastError != "" {
			t.Errorf("after it answered again: %+v", s)
		}
		mu.Lock()
		defer mu.Unlock()
		for i, seq := range got {
			if want := uint64(100 - perGroup + 1 + i); seq != want {
				t.Errorf("event %d is %d, want %d", i, seq, want)
			}
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, hang, Target{Name: "web", Timeout: 3 * time.Second})
		defer w.stop()
		w.tell("edge", "Active")
		time.Sleep(4 * time.Second)
		if s := w.Status()[0]; s.Failed != 1 || s.LastError != context.DeadlineExceeded.Error() {
			t.Errorf("%+v", s)
		}
	})
}

// At a stop the last transitions are told, though nobody kicked.
func TestFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(context.Context, Target, Event) error { time.Sleep(500 * time.Millisecond); return nil },
			Target{Name: "web"})
		w.turn("edge", "Backup")
		w.turn("edge", "Initialize")
		w.stop()
		if s := w.Status()[0]; s.Sent != 2 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// It takes two seconds and no longer, whatever hangs.
func TestFarewellIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, hang, Target{Name: "web", Retries: 3, Timeout: time.Minute},
			Target{Name: "retrying", Retries: 3, Timeout: 50 * time.Millisecond})
		for range 5 {
			w.tell("edge", "Active")
		}
		before := time.Now()
		w.stop()
		if d := time.Since(before); d != farewell {
			t.Errorf("the stop took %v", d)
		}
		for _, s := range w.Status() {
			if s.Dropped+s.Failed != 5 || s.Waiting != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

// A reload that changes a target keeps what waits for it; one that removes
// it ends its attempts at once.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(ctx context.Context, t Target, e Event) error {
			if t.Timeout == time.Minute {
				return nil
			}
			return hang(ctx, t, e)
		}, Target{Name: "kept"}, Target{Name: "removed", Timeout: time.Hour})
		for range 3 {
			w.tell("edge", "Active")
		}
		w.Set(Config{[]Target{{Name: "kept", Timeout: time.Minute}}})
		time.Sleep(11 * time.Second)
		if s := w.Status(); len(s) != 1 || s[0].Sent != 2 || s[0].Failed != 1 {
			t.Errorf("%+v", s)
		}
		before := time.Now()
		w.stop()
		if d := time.Since(before); d != 0 {
			t.Errorf("the stop waited %v for a target that is no more", d)
		}
	})
}
