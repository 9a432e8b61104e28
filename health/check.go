// Package health asks servers whether they work and remembers the answers.
//
// A Check is a value: what to ask, whom, how often, and how many answers decide.
// A Monitor asks each distinct Check once, however many services want it, and
// publishes what it knows as one Snapshot.
package health

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// A Kind is the way a server is asked.
type Kind string

// The kinds of check. Probe is the one place that lists what they do.
const (
	// TCP passes when a connection can be opened.
	TCP Kind = "tcp"
	// HTTP passes when a GET is answered with a status in the wanted range.
	HTTP Kind = "http"
)

// A Check is one question to one server. It is comparable and is its own
// identity: two equal Checks are asked once.
type Check struct {
	Kind   Kind
	Target netip.AddrPort
	// HTTP is what a check of kind HTTP asks; the zero value for others.
	HTTP HTTPRequest
	// Interval is from the start of one attempt to the start of the next.
	Interval time.Duration
	// Timeout bounds one attempt, connecting included.
	Timeout time.Duration
	// Fall is how many failures in a row take an up server down, Rise how
	// many passes in a row bring a down one up. Both are at least 1.
	Fall, Rise int
}

// String names the check in logs: "http 10.0.0.3:9181/ready".
func (c Check) String() string {
	return fmt.Sprintf("%s %s%s", c.Kind, c.Target, c.HTTP.Path)
}

// Probe makes one attempt and says why it failed; nil is a pass. The attempt
// ends when c.Timeout has passed or ctx ends, whichever is first.
func Probe(ctx context.Context, c Check) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	switch c.Kind {
	case TCP:
		return probeTCP(ctx, c)
	case HTTP:
		return probeHTTP(ctx, c)
	}
	return fmt.Errorf("check kind %q is unknown", c.Kind)
}
