package backend

import "time"

// Ejection takes an endpoint that fails out for a while.
type Ejection struct {
	// Failures is how many responses in a row must fail: 502, 503 and 504,
	// none in time, or none at all; 0 is never. An endpoint that takes no
	// connection is out at once.
	Failures int
	// Base is for how long the first time, twice as long the next time, and
	// so on up to Most.
	Base, Most time.Duration
	// Panic is the share of the endpoints that may be out for their
	// responses. When more are, it is not they that are ill, and all count
	// again.
	Panic float64
}

// An Outcome is what became of a request that was handed to an endpoint.
type Outcome uint8

// The outcomes.
const (
	// Answered is a response, whatever it says.
	Answered Outcome = iota + 1
	// GatewayError is a 502, 503 or 504.
	GatewayError
	// TimedOut is no response in time.
	TimedOut
	// Died is a connection that ended before a response.
	Died
	// Malformed is a response that cannot be read.
	Malformed
	// NoConnection is a dial that failed.
	NoConnection
)

// String returns o in words.
func (o Outcome) String() string {
	return [...]string{"", "answered", "gateway error", "timed out", "died", "malformed", "no connection"}[o]
}

// OutcomeOf returns the outcome that a final response of a status is.
func OutcomeOf(status int) Outcome {
	if status >= 502 && status <= 504 {
		return GatewayError
	}
	return Answered
}

// A judge decides from outcomes whether an endpoint is used.
type judge struct {
	failures int // in a row
	why      Outcome
	// out is until when it is ejected, and stays when that has passed: then
	// requests go there one at a time, until one goes well. 0 is not ejected.
	out int64
	// times is how often in a row it was ejected, length for how long last,
	// back since when it has been doing well after that. Once that is as long,
	// the next time is the first one.
	times        int
	length, back int64
}

// well takes note of a request that went well.
func (j *judge) well(now int64) {
	if now < j.out {
		return // it was sent before
	}
	j.failures = 0
	if j.out != 0 {
		j.out, j.back = 0, now
	}
	if now-j.back >= j.length {
		j.times, j.length = 0, 0
	}
}

// connected takes note of a dial that went well.
func (j *judge) connected(now int64) {
	if j.why == NoConnection && j.out != 0 {
		j.out, j.back = 0, now
	}
}

// ill takes note of a request that failed.
func (j *judge) ill(why Outcome, now int64, e Ejection) {
	if now < j.out {
		return // it was sent before, or for want of others
	}
	j.failures++
	if j.out == 0 && why != NoConnection && (e.Failures == 0 || j.failures < e.Failures) {
		return
	}
	j.times++
	j.length = int64(min(e.Base<<min(j.times-1, 16), e.Most))
	j.out, j.why, j.failures = now+j.length, why, 0
}

// untroubled reports whether nothing speaks against the endpoint.
func (j *judge) untroubled() bool { return j.failures == 0 && j.out == 0 && j.times == 0 }
