package announce

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/portico-lb/portico/vip/neighbor"
)

// A batch of addresses is announced every tick: 64 addresses are told of
// within four milliseconds, and a switch's processor is not drowned by many
// groups that move at once.
const (
	batch = 16
	tick  = time.Millisecond
)

// Announcer announces groups of addresses for as long as they are set.
type Announcer struct {
	log  *slog.Logger
	bell chan struct{}

	mu     sync.Mutex
	queue  queue
	sender *neighbor.Sender // nil until it is needed
}

// New returns an Announcer that does nothing before Run.
func New(log *slog.Logger) *Announcer {
	return &Announcer{log: log, bell: make(chan struct{}, 1), queue: queue{jitter: rand.N[time.Duration]}}
}

// Set replaces the groups. Frames of one that is no longer among them do not
// leave after Set has returned.
func (a *Announcer) Set(groups []Group) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue.set(time.Now(), groups)
	select {
	case a.bell <- struct{}{}:
	default: // already rung
	}
}

// Fault returns what keeps the group from being announced, or "".
func (a *Announcer) Fault(group string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, j := range a.queue.jobs {
		if j.Name == group {
			return j.fault
		}
	}
	return ""
}

// Run announces until ctx ends.
func (a *Announcer) Run(ctx context.Context) {
	defer a.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.bell:
		case <-timer.C:
		}
		timer.Stop()
		if next := a.work(time.Now()); !next.IsZero() {
			timer.Reset(max(time.Until(next), tick))
		}
	}
}

// work sends a batch of what is due and returns when to go on.
func (a *Announcer) work(now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range batch {
		j := a.queue.take(now)
		if j == nil {
			break
		}
		was := j.fault
		j.sent(now, a.send(j))
		if j.fault != "" && j.fault != was {
			a.log.Warn("announcement to be repeated", "group", j.Name, "err", j.fault)
		}
	}
	return a.queue.next(now)
}

// send announces one address.
func (a *Announcer) send(j *job) error {
	if a.sender == nil {
		s, err := neighbor.NewSender()
		if err != nil {
			return fmt.Errorf("announce on %s: %w", j.Interface, err)
		}
		a.sender = s
	}
	ip := j.Addrs[j.at]
	for _, frame := range neighbor.Announcement(neighbor.Claim{IP: ip, MAC: j.MAC}, ip.Is6() && forwards(j.Interface)) {
		if err := a.sender.Send(j.Index, frame); err != nil {
			return fmt.Errorf("announce %s on %s: %w", ip, j.Interface, err)
		}
	}
	return nil
}

func (a *Announcer) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sender != nil {
		_ = a.sender.Close()
		a.sender = nil
	}
}

// forwards reports whether the host is an IPv6 router on the interface.
func forwards(name string) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/forwarding")
	return err == nil && strings.TrimSpace(string(b)) != "0"
}
