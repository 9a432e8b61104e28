package backend

import (
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// A Policy says how the endpoints of a backend are used. It is a value: two
// that are equal ask for the same.
type Policy struct {
	// Protocol is how endpoints are spoken to. The zero one leaves it to what
	// each endpoint says, and is HTTP where that says nothing.
	Protocol route.Protocol
	TLS      TLS
	// SendProxy is the version, 1 or 2, of the PROXY header that begins each
	// connection; 0 is none. Such a connection is its client's and carries one
	// request. Endpoints of HTTP/2, whose connections clients share, cannot be
	// spoken to so.
	SendProxy int
	Balance   Balance
	Sticky    Sticky
	Timeouts  Timeouts
	Retries   Retries
	Ejection  Ejection
	// SlowStart is how long an endpoint rises to its share that is new beside
	// others, or was ejected; 0 is at once.
	SlowStart time.Duration
	Breaker   Breaker
	Limit     Limit
}

// Default is the policy of a backend of which nothing is said.
func Default() Policy {
	return Policy{
		Balance:  Balance{Bound: 1.25},
		Timeouts: Timeouts{Dial: 2 * time.Second, Response: 5 * time.Minute, Idle: 30 * time.Second},
		Retries:  Retries{Attempts: 5, Share: 0.2, Floor: 10},
		Ejection: Ejection{Failures: 5, Base: 2 * time.Second, Most: 30 * time.Second, Panic: 0.5},
		Breaker:  Breaker{Requests: 20, Open: 5 * time.Second},
		Limit:    Limit{Queue: 100, Wait: 5 * time.Second},
	}
}

// TLS says whom to believe over HTTPS and H2.
type TLS struct {
	// CA is whose certificates are believed, in PEM; "" is the system's.
	CA string
	// ServerName is what is asked for and must be in the certificate; ""
	// is the Service's name in the cluster, SERVICE.NAMESPACE.svc.
	ServerName string
	// Insecure believes every certificate.
	Insecure bool
}

// Timeouts bound the waits for an endpoint.
type Timeouts struct {
	Dial     time.Duration // connecting to one endpoint, TLS included
	Response time.Duration // an endpoint that sends nothing
	// Whole is for a request and its response together, tunnels excepted; 0 is
	// no limit.
	Whole time.Duration
	Idle  time.Duration // a pooled connection between requests
}
