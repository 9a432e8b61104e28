package middleware

import (
	"math/bits"
	"time"
)

// A tally is what was counted of requests.
type tally struct {
	total, failed uint64
	codes         []uint64 // by range of the condition
	// latencies count by slot of how long the response's head took; none where
	// nobody asks.
	latencies []uint64
}

func newTally(c *condition) tally {
	t := tally{codes: make([]uint64, len(c.codes))}
	if c.latency {
		t.latencies = make([]uint64, latencySlots)
	}
	return t
}

func (t *tally) reset() {
	t.total, t.failed = 0, 0
	clear(t.codes)
	clear(t.latencies)
}

// count adds one request.
func (t *tally) count(c *condition, o Outcome) {
	t.total++
	if o.Failed {
		t.failed++
	}
	for i, r := range c.codes {
		if r[0] <= o.Status && o.Status < r[1] {
			t.codes[i]++
		}
	}
	if t.latencies != nil {
		d := o.Endpoint
		if o.Failed {
			d = o.Duration // there was no head
		}
		t.latencies[latencySlot(d)]++
	}
}

// add adds another tally of the same condition.
func (t *tally) add(u *tally) {
	t.total += u.total
	t.failed += u.failed
	for i := range u.codes {
		t.codes[i] += u.codes[i]
	}
	for i := range u.latencies {
		t.latencies[i] += u.latencies[i]
	}
}

// latency is the time, in milliseconds, that a part of the responses, in
// percent, took at most.
func (t *tally) latency(quantile float64) float64 {
	rank := float64(t.total) * quantile / 100
	seen := uint64(0)
	for i, n := range t.latencies {
		if seen += n; n > 0 && float64(seen) >= rank {
			return float64(latencyOf(i)) / float64(time.Millisecond)
		}
	}
	return 0
}

// Latencies are counted in slots that are an eighth of their power of two wide,
// of 65 µs at least, so that a quantile is known to 6 %.
const (
	latencyShift = 16
	latencySlots = 8 * 24 // up to half an hour and more
)

func latencySlot(d time.Duration) int {
	n := uint64(max(d, 0)) >> latencyShift
	if n < 8 {
		return int(n)
	}
	octave := bits.Len64(n) - 3 // of n, the leading bit and three more are kept
	return min(8*(octave-1)+int(n>>(octave-1)), latencySlots-1)
}

// latencyOf is the middle of a slot.
func latencyOf(slot int) time.Duration {
	from, to := slotFrom(slot), slotFrom(slot+1)
	return time.Duration((from + to) << latencyShift / 2)
}

func slotFrom(slot int) uint64 {
	if slot < 16 {
		return uint64(slot)
	}
	octave := slot/8 - 1
	return uint64(8+slot%8) << octave
}

// A span of time is counted by the second, so that the oldest second can be
// forgotten.
const windowSeconds = 10

// A counter counts requests over the last ten seconds.
type counter struct {
	condition *condition
	seconds   [windowSeconds]tally
	newest    int64 // Unix time of the latest second
	sum       tally // is used again
}

func newCounter(c *condition) *counter {
	k := &counter{condition: c, sum: newTally(c)}
	for i := range k.seconds {
		k.seconds[i] = newTally(c)
	}
	return k
}

// count adds a request that ended at now.
func (k *counter) count(o Outcome, now time.Time) {
	k.forget(now)
	if sec := now.Unix(); sec > k.newest-windowSeconds {
		k.seconds[sec%windowSeconds].count(k.condition, o)
	}
}

// forget empties the seconds that are no longer among the last ones.
func (k *counter) forget(now time.Time) {
	sec := now.Unix()
	for s := max(k.newest+1, sec-windowSeconds+1); s <= sec; s++ {
		k.seconds[s%windowSeconds].reset()
	}
	k.newest = max(k.newest, sec)
}

// last returns what was counted in the last ten seconds. It is good until the next call.
func (k *counter) last(now time.Time) *tally {
	k.forget(now)
	k.sum.reset()
	for i := range k.seconds {
		k.sum.add(&k.seconds[i])
	}
	return &k.sum
}

func (k *counter) reset() {
	for i := range k.seconds {
		k.seconds[i].reset()
	}
}
