// Package daemon is the one place where the parts of portico meet: it builds
// them from the configuration, starts them in order, hands each the values of
// the others, applies a changed file, and stops them in reverse.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// A Part is one supervised piece of the daemon. Run blocks until ctx ends or
// the part can no longer do its job, and calls ready once others may rely on
// it.
type Part struct {
	Name string
	Run  func(ctx context.Context, ready func()) error
}

// runParts starts parts in order, each after its predecessor is ready, calls
// ready after the last, and stops them in reverse order, each after its
// successor has returned. A part that ends early takes the others down: systemd
// starts the process again, and there is no second supervisor inside. How long
// a stop may take is bounded by the unit's TimeoutStopSec.
func runParts(ctx context.Context, log *slog.Logger, parts []Part, ready func()) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	var up []running
	for _, p := range parts {
		r := start(p, fail)
		up = append(up, r)
		select {
		case <-r.ready:
			log.Info("part ready", "part", p.Name)
			continue
		case <-ctx.Done():
		}
		break
	}
	if ctx.Err() == nil {
		ready()
	}
	<-ctx.Done()

	var errs []error
	for i := len(up) - 1; i >= 0; i-- {
		up[i].stop()
		if err := <-up[i].done; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", up[i].name, err))
		}
		log.Info("part stopped", "part", up[i].name)
	}
	return errors.Join(errs...)
}

// running is a started part.
type running struct {
	name  string
	stop  context.CancelFunc
	ready chan struct{}
	done  chan error
}

func start(p Part, fail context.CancelCauseFunc) running {
	// Not derived from runParts' context: a part ends when its turn comes, not
	// when the signal arrives.
	ctx, stop := context.WithCancel(context.Background())
	r := running{p.Name, stop, make(chan struct{}), make(chan error, 1)}
	go func() {
		err := p.Run(ctx, sync.OnceFunc(func() { close(r.ready) }))
		if err == nil && ctx.Err() == nil {
			err = errors.New("returned before it was stopped")
		}
		if err != nil {
			fail(err)
		}
		r.done <- err
	}()
	return r
}
