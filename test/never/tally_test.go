package never

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// mostFailures is how many failures are told in full.
const mostFailures = 20

// A tally counts how requests of each kind of client went.
type tally struct {
	mu       sync.Mutex
	answered map[string]int
	failed   map[string]int
	failures []string
	moved    int // requests that a peer said it had not begun, and that went again
	slowest  map[string]time.Duration
}

// count counts a request that began at a time and ended with err.
func (y *tally) count(kind string, began time.Time, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.answered == nil {
		y.answered, y.failed, y.slowest = map[string]int{}, map[string]int{}, map[string]time.Duration{}
	}
	y.slowest[kind] = max(y.slowest[kind], time.Since(began))
	if err == nil {
		y.answered[kind]++
		return
	}
	y.failed[kind]++
	if len(y.failures) < mostFailures {
		y.failures = append(y.failures, fmt.Sprintf("%s %s: %v", time.Now().Format("05.000"), kind, err))
	}
}

func (y *tally) move() {
	y.mu.Lock()
	y.moved++
	y.mu.Unlock()
}

// totals are all requests of all kinds.
func (y *tally) totals() (answered, failed int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, n := range y.answered {
		answered += n
	}
	for _, n := range y.failed {
		failed += n
	}
	return answered, failed
}

// answer waits until n more requests have been answered.
func (s *site) answer(n int) {
	before, _ := s.tally.totals()
	s.until(s.t.Context(), "more answers", func() error {
		if now, _ := s.tally.totals(); now < before+n {
			return fmt.Errorf("%d, not %d", now-before, n)
		}
		return nil
	})
}

// String is a line a kind.
func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(y.slowest)) {
		fmt.Fprintf(&b, "%-22s %7d answered, %d failed, the slowest after %v\n",
			kind, y.answered[kind], y.failed[kind], y.slowest[kind].Round(time.Millisecond))
	}
	for _, f := range y.failures {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	return b.String()
}
