package health

import (
	"cmp"
	"slices"
	"time"
)

// A Status is what a Monitor knows and did, for people and for Prometheus.
type Status struct {
	// Checks are in the order of their names.
	Checks []CheckStatus `json:"checks"`
	// Lateness is how long after their time attempts began.
	Lateness Histogram `json:"lateness"`
}

// A CheckStatus is one check.
type CheckStatus struct {
	// Name is what the log calls the check.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	State
	Stats
}

// Stats are counted from the first attempt on.
type Stats struct {
	Attempts uint64 `json:"attempts"`
	Failures uint64 `json:"failures"`
	// Took is the latest attempt's duration, Average that of about the last
	// ten, and Late how long after its time the latest one began.
	Took    time.Duration `json:"took"`
	Average time.Duration `json:"average"`
	Late    time.Duration `json:"late"`
}

func (s *Stats) add(late, took time.Duration, failed bool) {
	s.Attempts++
	if failed {
		s.Failures++
	}
	s.Late, s.Took = late, took
	if s.Attempts == 1 {
		s.Average = took
	}
	s.Average += (took - s.Average) / 10
}

// Status reports what is known now.
func (m *Monitor) Status() Status {
	m.mu.Lock()
	st := Status{Checks: make([]CheckStatus, 0, len(m.jobs)), Lateness: m.lateness}
	for _, j := range m.jobs {
		st.Checks = append(st.Checks, CheckStatus{j.name, j.check.Kind, j.state, j.stats})
	}
	m.mu.Unlock()
	slices.SortFunc(st.Checks, func(a, b CheckStatus) int { return cmp.Compare(a.Name, b.Name) })
	return st
}

// bounds are the upper ends of a Histogram's buckets; the last has none.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second,
}

// A Histogram counts durations by magnitude.
type Histogram struct {
	Counts [len(bounds) + 1]uint64 `json:"counts"`
	Sum    time.Duration           `json:"sum"`
}

func (h *Histogram) add(d time.Duration) {
	i, _ := slices.BinarySearch(bounds[:], d)
	h.Counts[i]++
	h.Sum += d
}

// Bounds returns the upper ends of the buckets but the last.
func (Histogram) Bounds() []time.Duration { return slices.Clone(bounds[:]) }

// Quantile returns a duration that the share q of all does not exceed, as
// exact as the buckets are, and the largest bound where that is not enough.
func (h Histogram) Quantile(q float64) time.Duration {
	var all, seen uint64
	for _, n := range h.Counts {
		all += n
	}
	for i, n := range h.Counts[:len(bounds)] {
		if seen += n; float64(seen) >= q*float64(all) {
			return bounds[i]
		}
	}
	return bounds[len(bounds)-1]
}
