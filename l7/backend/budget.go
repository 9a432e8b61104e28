package backend

import "time"

// Retries bound how often requests are sent again.
type Retries struct {
	// Attempts is how often one request is sent at most, the first time
	// included. Dials that were refused at once do not count: they cost
	// nobody anything.
	Attempts int
	// Share is how many retries a request earns, 0.2 for one in five, and
	// Floor how many more there may be in a second. They count for requests
	// that an endpoint may have seen: others are no load to it.
	Share, Floor float64
}

// budgetWindow is how long a retry that was earned may be saved up.
const budgetWindow = 10 * time.Second

// A budget keeps a backend that is in trouble from being drowned by the echoes
// of its requests. What was saved up wears off over budgetWindow, so that it
// holds what about the last window earned.
type budget struct {
	tokens float64
	at     int64  // when it was last drawn on
	seen   uint32 // requests counted until then
}

// newBudget returns one that has saved up for a window already.
func newBudget(now int64) budget { return budget{at: now - int64(budgetWindow)} }

// draw takes a retry from the budget at now, requests being a running count,
// and reports whether there was one.
func (b *budget) draw(r Retries, now int64, requests uint32) bool {
	window := budgetWindow.Seconds()
	elapsed := time.Duration(now - b.at).Seconds()
	earned := r.Floor*elapsed + r.Share*float64(requests-b.seen)
	if elapsed > window {
		earned *= window / elapsed
	}
	b.tokens = b.tokens*max(0, 1-elapsed/window) + earned
	b.at, b.seen = now, requests
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
