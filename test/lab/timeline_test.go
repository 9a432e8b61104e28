package lab_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/portico-lb/portico/test/lab"
)

func TestTimeline(t *testing.T) {
	ok := func(sent, ended time.Duration) lab.Attempt {
		return lab.Attempt{Sent: sent * time.Millisecond, Ended: ended * time.Millisecond, Server: "a"}
	}
	lost := func(sent, ended time.Duration) lab.Attempt {
		return lab.Attempt{Sent: sent * time.Millisecond, Ended: ended * time.Millisecond, Err: errors.New("lost")}
	}
	for _, tt := range []struct {
		name     string
		attempts []lab.Attempt
		from, to time.Duration // ms
	}{
		{name: "no request at all is one gap", from: 0, to: 100},
		{name: "even answers", attempts: []lab.Attempt{ok(0, 20), ok(20, 45), ok(40, 65), ok(60, 85)}, from: 20, to: 45},
		{name: "a failure in between changes nothing by itself", attempts: []lab.Attempt{ok(0, 10), lost(20, 30), ok(40, 90)}, from: 10, to: 90},
		{name: "an answer that overtakes", attempts: []lab.Attempt{ok(0, 10), ok(50, 60), ok(20, 95)}, from: 10, to: 60},
		{name: "never came back", attempts: []lab.Attempt{ok(0, 10), ok(20, 30), lost(40, 300)}, from: 30, to: 100},
		{name: "came late", attempts: []lab.Attempt{lost(0, 5), ok(60, 70)}, from: 0, to: 70},
		{name: "answered after the end", attempts: []lab.Attempt{ok(0, 10), ok(20, 400)}, from: 10, to: 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lab.Timeline{Attempts: tt.attempts, End: 100 * time.Millisecond}.LongestGap()
			want := lab.Gap{From: tt.from * time.Millisecond, To: tt.to * time.Millisecond}
			if got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestTimelineString(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("get: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)})
	}
	tl := lab.Timeline{
		Attempts: []lab.Attempt{
			{Sent: 0, Ended: 10 * time.Millisecond, Server: "edge-1"},
			{Sent: 20 * time.Millisecond, Ended: 21 * time.Millisecond, Err: dial(syscall.ECONNREFUSED)},
			{Sent: 30 * time.Millisecond, Ended: 31 * time.Millisecond, Err: dial(syscall.ECONNREFUSED)},
			{Sent: 40 * time.Millisecond, Ended: 41 * time.Millisecond, Err: fmt.Errorf("get: %w", io.EOF)},
			{Sent: 50 * time.Millisecond, Ended: 90 * time.Millisecond, Server: "edge-2"},
		},
		Skipped: 1,
		End:     100 * time.Millisecond,
	}
	got, _, _ := strings.Cut(tl.String(), "\n")
	want := "2 of 5 answered: edge-1 1, edge-2 1; no answer: connection closed 1, connection refused 2; longest gap 80ms (from 10ms), slowest answer 40ms; 1 not sent"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if failed := tl.Failed(); len(failed) != 3 || failed[0].Sent != 20*time.Millisecond {
		t.Errorf("failed %v", failed)
	}
}
