package daemon

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/portico-lb/portico/cmd/internal/history"
)

// A recorder is what runHistory writes and the API reads.
type recorder struct {
	mu sync.Mutex
	history.Recorder
}

// runHistory keeps what charts and the list of events show.
func (d *daemon) runHistory(ctx context.Context, ready func()) error {
	tick := time.NewTicker(history.Step)
	defer tick.Stop()
	for ready(); ; {
		s := d.snapshot(ctx)
		d.recorder.mu.Lock()
		d.recorder.Add(s)
		d.recorder.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// snapshot is the node as it is now.
func (d *daemon) snapshot(ctx context.Context) history.Snapshot {
	s := history.Snapshot{At: time.Now(), Configs: map[string]history.Config{}}
	d.mu.Lock()
	loaded, proxies := d.loaded, d.config.Proxies
	d.mu.Unlock()
	s.Configs[d.process()] = history.Config{Loaded: loaded.Loaded, Failed: loaded.Failed, Error: loaded.Error}
	if d.vip != nil {
		v := d.vip.Status()
		s.VIP = &v
	}
	if d.health != nil {
		v := d.health.Status()
		s.Health = &v
	}
	if d.l4 != nil {
		v := d.l4.Status()
		s.L4 = &v
	}
	switch {
	case d.l7 != nil:
		t := d.l7.Totals()
		s.L7 = &t
	case proxies:
		var t Totals
		if err := d.askProxy(ctx, "/api/v1/totals", &t); err != nil {
			s.Missing = err.Error()
			break
		}
		s.L7 = &t.L7
		s.Configs["proxy"] = history.Config{Loaded: t.Config.Loaded, Failed: t.Config.Failed, Error: t.Config.Error}
	}
	return s
}

// points answers /api/v1/history.
func (d *daemon) points(r *http.Request) (History, error) {
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return History{}, fmt.Errorf("since: %q is no time: write it as in 2026-11-21T18:00:00Z", text)
		}
	}
	d.recorder.mu.Lock()
	defer d.recorder.mu.Unlock()
	return History{Step: history.Step.Seconds(), Points: d.recorder.Points(since)}, nil
}

// A History is points for charts.
type History struct {
	// Step is how many seconds points are apart.
	Step float64 `json:"step"`
	// Points are oldest first.
	Points []history.Point `json:"points"`
}

func (d *daemon) events() []history.Event {
	d.recorder.mu.Lock()
	defer d.recorder.mu.Unlock()
	return d.recorder.Events()
}
