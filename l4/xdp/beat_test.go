package xdp

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/test/lab"
)

// TestBeat has the fence stay open for as long as the director answers, and not
// because a goroutine runs.
func TestBeat(t *testing.T) {
	d := newDirector(t)
	d.follow(t)
	k := d.life.open
	read := func() (f bpf.L4Fence) {
		if err := k.Fence.Lookup(uint32(0), &f); err != nil {
			t.Error(err)
		}
		return f
	}
	first := read()
	if now, err := monotonic(); err != nil || first.LimitNs != uint64(time.Minute) || first.BeatNs == 0 || first.BeatNs > now {
		t.Fatalf("before anything is attached: %+v at %d (%v)", first, now, err)
	}
	answers := make(chan struct{})
	asked := make(chan struct{})
	d.opt.Alive = func() {
		asked <- struct{}{}
		<-answers
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	d.Set(Config{}) // a fence of no length makes it beat ten times a second
	wg.Go(func() { d.beat(ctx) })
	<-asked
	if f := read(); f != first {
		t.Errorf("a director that does not answer beats: %+v, before %+v", f, first)
	}
	answers <- struct{}{}
	lab.Eventually(t, 30*time.Second, "a beat", func() error {
		if f := read(); f.BeatNs <= first.BeatNs {
			return fmt.Errorf("%+v", f)
		}
		return nil
	})
	<-asked
	stop()
	answers <- struct{}{}
}
