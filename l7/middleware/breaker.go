package middleware

import "time"

// CircuitBreaker answers 503 for a while when a condition over the last ten
// seconds is met, and then lets through more and more again.
type CircuitBreaker struct {
	// Expression is the condition, in Traefik's language: NetworkErrorRatio(),
	// ResponseCodeRatio(from, to, dividedFrom, dividedTo) and
	// LatencyAtQuantileMS(quantile), compared with numbers by > >= < <= == !=
	// (or GT GE LT LE EQ NEQ), joined by && || ! (or AND OR NOT).
	// CheckExpression tells whether it is one.
	Expression string `json:"expression"`
	// Check is how often it is looked at, 0 is 100 ms.
	Check time.Duration `json:"check,omitempty"`
	// Open is how long all is answered 503 then, 0 is 10 s.
	Open time.Duration `json:"open,omitempty"`
	// Recovery is how long it takes until all is let through again, 0 is 10 s.
	Recovery time.Duration `json:"recovery,omitempty"`
}

// Kind is its name in the configuration.
func (CircuitBreaker) Kind() string { return "circuit_breaker" }
