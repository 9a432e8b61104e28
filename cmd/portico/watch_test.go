package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatch: pictures come at their interval, a daemon that is away for one is
// no end, and the end is the caller's.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var out bytes.Buffer
		begin, shown := time.Now(), 0
		err := watch(ctx, &out, 2*time.Second, true, func(w io.Writer) error {
			shown++
			fmt.Fprintf(w, "picture %d at %v\n", shown, time.Since(begin))
			switch shown {
			case 2:
				return errors.New("not running")
			case 3:
				stop()
			}
			return errSilent
		})
		if err != nil {
			t.Errorf("ended with %v", err)
		}
		for _, want := range []string{"picture 1 at 0s", "picture 2 at 2s\nportico: not running", "picture 3 at 4s"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
		if n := strings.Count(out.String(), clearScreen); n != 3 {
			t.Errorf("screen cleared %d times", n)
		}
	})
}

// TestWatchOfJSON: who reads JSON wants to know that there is none.
func TestWatchOfJSON(t *testing.T) {
	away := errors.New("not running")
	err := watch(t.Context(), io.Discard, time.Second, false, func(io.Writer) error { return away })
	if !errors.Is(err, away) {
		t.Errorf("ended with %v", err)
	}
}
