package middleware

import (
	"context"
	"reflect"
	"slices"
)

// A Chain is the middlewares of one route, in the order of its steps.
type Chain struct {
	steps   []Step
	members []Middleware
	bodily  bool
}

// NewChain makes steps work. Steps that old has too, in the same order, go on
// as they are, with their state; old may be nil.
func NewChain(steps []Step, env Env, old *Chain) *Chain {
	c := &Chain{steps: steps, members: make([]Middleware, len(steps))}
	from := 0
	for i, s := range steps {
		if j := old.find(s, from); j >= 0 {
			c.members[i], from = old.members[j], j+1
		} else {
			c.members[i] = s.New(env)
		}
		_, bodily := c.members[i].(Bodily)
		c.bodily = c.bodily || bodily
	}
	return c
}

// find returns the place of s behind from, -1 without one.
func (c *Chain) find(s Step, from int) int {
	if c == nil {
		return -1
	}
	for j := from; j < len(c.steps); j++ {
		if reflect.DeepEqual(c.steps[j], s) {
			return j
		}
	}
	return -1
}

// Bodily reports whether a response's body may be transformed.
func (c *Chain) Bodily() bool { return c.bodily }

// Handle has the middlewares see r in turn, until one answers.
func (c *Chain) Handle(ctx context.Context, r *Request) *Answer {
	for _, m := range c.members {
		if a := m.Handle(ctx, r); a != nil {
			return a
		}
	}
	return nil
}

// WantsResponse reports whether somebody has asked to see the response.
func (r *Request) WantsResponse() bool { return len(r.onResponse) > 0 }

// Respond has those see w that have asked for it.
func (r *Request) Respond(w *Response) {
	for _, f := range slices.Backward(r.onResponse) {
		f(w)
	}
}

// Done tells those that have asked for it, once.
func (r *Request) Done(o Outcome) {
	for _, f := range slices.Backward(r.onDone) {
		f(o)
	}
	clear(r.onDone)
	r.onDone = r.onDone[:0]
}
