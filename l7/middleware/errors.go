package middleware

import (
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// ErrorPages has a backend make the bodies of responses that report an error.
type ErrorPages struct {
	// Statuses are those that are replaced.
	Statuses []Statuses `json:"statuses"`
	// Backend makes the pages.
	Backend route.Backend `json:"backend"`
	// Query is the path, and the query, that it is asked for: "{status}" stands
	// for the status, "{url}" for the URL that the client asked for, as a value
	// in a query. "" is "/".
	Query string `json:"query,omitempty"`
	// Nginx has it ask as ingress-nginx's custom-http-errors does: with X-Code,
	// X-Format, X-Original-URI and the Headers, and the client gets the page's own status.
	Nginx bool `json:"nginx,omitempty"`
	// Headers are more fields of the question: X-Namespace, X-Ingress-Name,
	// X-Service-Name, X-Service-Port with Nginx.
	Headers []Field `json:"headers,omitempty"`
	// Timeout is how long the backend may take, 0 is DefaultPageTimeout; the
	// response then goes on as it was.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// DefaultPageTimeout is how long a page may take to be made.
const DefaultPageTimeout = 5 * time.Second

// Statuses is a range of status codes, both ends within.
type Statuses struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Kind is its name in the configuration.
func (ErrorPages) Kind() string { return "errors" }

// Backends are the Services that make the pages.
func (s ErrorPages) Backends() []route.Backend { return known(s.Backend) }
