package middleware

import (
	"context"
	"errors"
	"net/http"

	"github.com/portico-lb/portico/l7/value"
)

// Buffering bounds bodies, and gathers those of requests.
type Buffering struct {
	// RequestMost is the longest body of a request in bytes; a longer one is
	// answered 413. 0 is no bound.
	RequestMost int64 `json:"request_most,omitempty"`
	// Whole has a request's body read to its end before an endpoint gets
	// anything of it: slow clients then do not keep endpoints busy, and any
	// request can be repeated at another one.
	Whole bool `json:"whole,omitempty"`
	// ResponseMost is the longest body of a response in bytes. One that says to
	// be longer is answered 500; one that turns out to be is cut. 0 is no bound.
	ResponseMost int64 `json:"response_most,omitempty"`
}

// Kind is its name in the configuration.
func (Buffering) Kind() string { return "buffering" }

// New returns the middleware.
func (s Buffering) New(Env) Middleware {
	if s.ResponseMost > 0 {
		return &boundedBoth{buffering{s}}
	}
	return &buffering{s}
}

type buffering struct{ step Buffering }

// Handle says how the request's body is to be taken.
func (m *buffering) Handle(_ context.Context, r *Request) *Answer {
	if most := m.step.RequestMost; most > 0 && (r.Body.Most == 0 || most < r.Body.Most) {
		r.Body.Most = most
	}
	r.Body.Whole = r.Body.Whole || m.step.Whole
	return nil
}

// boundedBoth bounds responses as well.
type boundedBoth struct{ buffering }

// Bodily says that bodies may be transformed.
func (*boundedBoth) Bodily() {}

// Handle bounds both bodies.
func (m *boundedBoth) Handle(ctx context.Context, r *Request) *Answer {
	if r.Method != http.MethodHead && !r.Upgrade {
		r.OnResponse(m.bound)
	}
	return m.buffering.Handle(ctx, r)
}

func (m *boundedBoth) bound(w *Response) {
	most := m.step.ResponseMost
	switch {
	case w.Ours:
	case w.Length > most:
		w.Replace(&Answer{Status: http.StatusInternalServerError, Reason: "the endpoint's response is longer than is allowed"})
	case w.Length < 0:
		w.Transform(func(to Writer) Writer { return &bounded{to, most} })
	}
}

var errLongResponse = errors.New("response longer than is allowed")

// bounded is a body that must not be longer than what is left.
type bounded struct {
	Writer
	left int64
}

// Write fails beyond the bound: the client then sees a response that broke off,
// and not one that seems to be whole.
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errLongResponse
	}
	return b.Writer.Write(p)
}

// A BufferingSection is buffering = {...}.
type BufferingSection struct {
	MaxRequest  string `toml:"max_request"`
	Whole       bool   `toml:"whole"`
	MaxResponse string `toml:"max_response"`
}

// Parse checks s.
func (s BufferingSection) Parse(p value.Parser) Step {
	out := Buffering{
		RequestMost:  p.Size(s.MaxRequest, "max_request", 0, 0, 1<<50),
		Whole:        s.Whole,
		ResponseMost: p.Size(s.MaxResponse, "max_response", 0, 0, 1<<50),
	}
	if s == (BufferingSection{}) {
		p.Bad("", "bounds nothing: want max_request, max_response, or whole = true")
	}
	return out
}
