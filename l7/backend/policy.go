package backend

import "time"

// A Policy says how the endpoints of a backend are used.
type Policy struct {
	Timeouts Timeouts
}

// Timeouts bound the waits for an endpoint.
type Timeouts struct {
	Dial     time.Duration // connecting to one endpoint
	Response time.Duration // an endpoint that sends nothing
	Idle     time.Duration // a pooled connection between requests
}
