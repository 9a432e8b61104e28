package health

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// spread is how far apart the first attempts of checks that begin together
// are, so that they do not all dial in the same instant. It shrinks where so
// many begin that the last would wait longer than one interval.
const spread = 10 * time.Millisecond

// together is how much before its time an attempt may begin, beside one whose
// time has come: to wake up for each of thousands costs more than to make them.
const together = 10 * time.Millisecond

// Options are what a Monitor needs.
type Options struct {
	Log *slog.Logger
	// Probe makes one attempt; nil means a Prober's.
	Probe func(context.Context, Check) (Answer, error)
	// StateFile is where states outlive the process; "" keeps none. Set finds
	// there what a check brought lately.
	StateFile string
}

// A Monitor asks a set of checks over and over.
type Monitor struct {
	log   *slog.Logger
	probe func(context.Context, Check) (Answer, error)
	close func() error
	file  stateFile
	// rung tells Run to look at the queue again, changed tells the consumer
	// that a verdict changed; both have room for one.
	rung, changed chan struct{}

	mu sync.Mutex
	// jobs has one for every check in the set, and no other; queue has those
	// that are not being asked right now.
	jobs     map[Check]*job
	queue    queue
	earlier  map[string]State // from the file, by job.key
	lateness Histogram
	// snapshot is the published copy of the states, nil when it is out of date.
	// It is made when asked for: answers come much more often than readers.
	snapshot *Snapshot
	unsaved  bool // a verdict has changed since the file was written
}

// New returns a Monitor that does nothing until Run.
func New(o Options) *Monitor {
	m := &Monitor{
		log:     o.Log,
		probe:   o.Probe,
		close:   func() error { return nil },
		file:    stateFile(o.StateFile),
		rung:    make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		jobs:    map[Check]*job{},
	}
	if o.Probe == nil {
		p := NewProber()
		m.probe, m.close = p.Probe, p.Close
	}
	var err error
	if m.earlier, err = m.file.read(); err != nil {
		m.log.Warn("states of an earlier run cannot be read, all servers are asked anew", "err", err)
	}
	return m
}

// Set replaces the set of checks. Those that stay keep their state and their
// rhythm, those that differ in interval, timeout, fall and rise alone keep
// their state; duplicates are asked once. It may be called before and during
// Run.
func (m *Monitor) Set(checks []Check) {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := make(map[Check]*job, len(m.jobs))
	for c, j := range m.jobs {
		asked[c.question()] = j
	}
	jobs := make(map[Check]*job, len(checks))
	var begin []*job
	for _, c := range checks {
		if jobs[c] != nil {
			continue
		}
		j := m.jobs[c]
		if j == nil {
			j = m.newJob(c, asked[c.question()])
			begin = append(begin, j)
		}
		jobs[c] = j
	}
	for c, j := range m.jobs {
		if jobs[c] == nil && j.place >= 0 {
			heap.Remove(&m.queue, j.place)
		}
	}
	now := time.Now()
	for i, j := range begin {
		// The wait never exceeds one interval, whatever the number.
		step := min(spread, j.check.Interval/time.Duration(len(begin)))
		j.due = now.Add(time.Duration(i) * step)
		heap.Push(&m.queue, j)
	}
	m.jobs, m.snapshot, m.unsaved = jobs, nil, true
	ring(m.rung)
}

// newJob returns the job for a check, which knows what the job with the same
// question knew, if there is one, or what was known in an earlier run.
func (m *Monitor) newJob(c Check, same *job) *job {
	j := &job{check: c, name: c.String(), place: -1}
	if m.file != "" {
		j.key = stateKey(c)
	}
	if same != nil {
		j.state, j.stats = same.state, same.stats
	} else if s := m.earlier[j.key]; fresh(s, time.Now()) {
		j.state = s
	}
	return j
}

// Snapshot returns what is known now.
func (m *Monitor) Snapshot() *Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.snapshot == nil {
		states := make(map[Check]State, len(m.jobs))
		for c, j := range m.jobs {
			states[c] = j.state
		}
		m.snapshot = NewSnapshot(states)
	}
	return m.snapshot
}

// Changed rings after a verdict or a weight has changed. It has one consumer.
func (m *Monitor) Changed() <-chan struct{} { return m.changed }

// Run asks until ctx ends and every attempt has returned. It is ready at
// once: nobody should wait for servers to answer.
func (m *Monitor) Run(ctx context.Context, ready func()) error {
	var asking, saving sync.WaitGroup
	saving.Go(func() { m.keepSaved(ctx) })
	ready()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		due, wait := m.due(time.Now())
		for _, j := range due {
			asking.Go(func() { m.ask(ctx, j) })
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-m.rung:
		case <-ctx.Done():
		}
	}
	asking.Wait()
	saving.Wait()
	m.save()
	return m.close()
}

// due takes the jobs off the queue whose time has come, and those with them
// whose time is near, and says how long the next one has to wait.
func (m *Monitor) due(now time.Time) (due []*job, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queue) > 0 {
		if wait = m.queue[0].due.Sub(now); wait > together {
			return due, wait
		}
		due = append(due, heap.Pop(&m.queue).(*job))
	}
	return due, time.Hour // Set rings
}

// ask makes one attempt and puts the job back on the queue.
func (m *Monitor) ask(ctx context.Context, j *job) {
	began := time.Now()
	said, err := m.probe(ctx, j.check)
	if ctx.Err() != nil {
		return // stopped: the attempt says nothing about the server
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jobs[j.check] != j {
		return // Set dropped it while its attempt was on the way
	}
	late := max(0, began.Sub(j.due))
	m.lateness.add(late)
	j.stats.add(late, now.Sub(began), err != nil)
	m.record(j, now, said, err)

	j.due = began.Add(jittered(j.check.Interval, rand.Float64()))
	heap.Push(&m.queue, j)
	if j.place == 0 {
		ring(m.rung) // Run waits for a later one
	}
}

// jitter is the share of an interval by which attempts come early or late.
// Without it the checks of many nodes fall into step and hit a server in
// bursts.
const jitter = 0.1

// jittered moves an interval by up to the jitter either way, r being in [0, 1).
func jittered(interval time.Duration, r float64) time.Duration {
	return time.Duration(float64(interval) * (1 - jitter + 2*jitter*r))
}

// record takes an answer into the job's state.
func (m *Monitor) record(j *job, at time.Time, said Answer, err error) {
	a := answer{Answer: said}
	if err != nil {
		a.failure, a.refused = err.Error(), refused(err)
	}
	have := j.state
	now := judge(have, j.check, at, a)
	j.state, m.snapshot = now, nil
	turned := now.Up != have.Up || now.Known != have.Known
	if !turned && now.Percent == have.Percent {
		return
	}
	m.unsaved = true
	ring(m.changed)
	switch {
	case !turned:
		m.log.Debug("server wants another weight", "check", j.name, "percent", now.Percent)
	case now.Up:
		m.log.Info("check up", "check", j.name)
	default:
		m.log.Warn("check down", "check", j.name, "reason", now.Reason)
	}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
