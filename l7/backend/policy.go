package backend

import "time"

// A Policy says how the endpoints of a backend are used. It is a value: two
// that are equal ask for the same.
type Policy struct {
	Timeouts Timeouts
	Retries  Retries
}

// Default is the policy of a backend of which nothing is said.
func Default() Policy {
	return Policy{
		Timeouts: Timeouts{Dial: 2 * time.Second, Response: 5 * time.Minute, Idle: 30 * time.Second},
		Retries:  Retries{Attempts: 5, Share: 0.2, Floor: 10},
	}
}

// Timeouts bound the waits for an endpoint.
type Timeouts struct {
	Dial     time.Duration // connecting to one endpoint
	Response time.Duration // an endpoint that sends nothing
	Idle     time.Duration // a pooled connection between requests
}
