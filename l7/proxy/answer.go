package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
)

// response returns the response that a makes to x's request, with its body, once
// those have seen it that have asked. x is nil where there is no request that
// could be understood.
func (x *exchange) response(a *middleware.Answer) (*middleware.Response, []byte) {
	w := &middleware.Response{Status: a.Status, Header: slices.Clone(a.Header), Ours: true}
	body := wording(w, a)
	if x != nil {
		x.isOurs(a)
	}
	if x != nil && x.watched() {
		w.Length = int64(len(body))
		x.pass.req.Respond(w)
	}
	return w, finish(w, body)
}

// finish makes w fit to be sent, and returns its body: that which it has,
// unless it was replaced.
func finish(w *middleware.Response, body []byte) []byte {
	if r := w.Replaced(); r != nil {
		body = wording(w, r)
	}
	body = transform(body, w.Transforms())
	if w.Status < 200 || w.Status > 999 {
		w.Status = http.StatusInternalServerError // nobody can be told this
	}
	if w.Status == http.StatusServiceUnavailable && !w.Header.Has("Retry-After") {
		w.Header.Add("Retry-After", retryAfter)
	}
	if !w.Header.Has("Date") {
		w.Header.Add("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	w.Header = slices.DeleteFunc(w.Header, func(f middleware.Field) bool { return middleware.Reserved(f.Name) || !isSound(f) })
	if !hasBody(w.Status) {
		return nil
	}
	return body
}

// wording returns the body of a, which w is made of: where it has none, the
// status and the reason in words.
func wording(w *middleware.Response, a *middleware.Answer) []byte {
	if a.Body != nil || !hasBody(a.Status) {
		return a.Body
	}
	w.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if a.Reason == "" {
		return fmt.Appendf(nil, "%d %s\n", a.Status, http.StatusText(a.Status))
	}
	return fmt.Appendf(nil, "%d %s: %s\n", a.Status, http.StatusText(a.Status), a.Reason)
}

// transform returns what becomes of a body that is whole.
func transform(body []byte, by []middleware.Transform) []byte {
	if len(by) == 0 {
		return body
	}
	var out kept
	w := through(&out, by)
	w.Write(body) //nolint:errcheck // into memory
	w.Close()     //nolint:errcheck // into memory
	return out.Bytes()
}

// through returns where a body is written to that passes by on its way to w.
func through(w middleware.Writer, by []middleware.Transform) middleware.Writer {
	for _, t := range slices.Backward(by) {
		w = t(w)
	}
	return w
}

// kept keeps what is written to it.
type kept struct{ bytes.Buffer }

// Flush does nothing.
func (*kept) Flush() error { return nil }

// Close does nothing.
func (*kept) Close() error { return nil }

// retryAfter is in how many seconds a request is worth another try that could
// not be served: endpoints come, and queues are served, as quickly as that.
const retryAfter = "1"

// answer sends a response of our own. x is nil where there is no request that
// could be understood.
func (c *conn) answer(x *exchange, a *middleware.Answer, keep bool) bool {
	w, body := x.response(a)
	return c.say(x, w, body, keep)
}

// say sends w, which is finished, and its body.
func (c *conn) say(x *exchange, w *middleware.Response, body []byte, keep bool) bool {
	out := make([]byte, 0, 512)
	out = append(strconv.AppendInt(append(out, "HTTP/1.1 "...), int64(w.Status), 10), ' ')
	out = append(append(out, http.StatusText(w.Status)...), '\r', '\n')
	for _, f := range w.Header {
		out = appendText(out, f.Name, f.Value)
	}
	if hasBody(w.Status) {
		out = strconv.AppendInt(append(out, "Content-Length: "...), int64(len(body)), 10)
		out = append(out, '\r', '\n')
	}
	out = append(append(out, connectionLine(x, keep)...), '\r', '\n')
	if c.responded(x, w.Status); x != nil {
		x.seesLines(out)
	}
	if x == nil || x.req.Method != http1.HEAD {
		out = append(out, body...)
	}
	if !c.arm(c.bounds.Timeouts.Stall) {
		return false
	}
	_, err := c.rw.Write(out)
	if x != nil {
		x.torn = err != nil
		if x.req.Method != http1.HEAD {
			x.sent = int64(len(body))
		}
	}
	return err == nil
}

// responded counts a response that is about to be sent.
func (c *client) responded(x *exchange, status int) {
	c.stats.responded(status)
	if x != nil {
		x.status = status
	}
}

// connectionLine is the field line that tells the client what becomes of the
// connection, "" where the version says it already (RFC 9112, section 9.3).
func connectionLine(x *exchange, keep bool) string {
	switch {
	case !keep:
		return "Connection: close\r\n"
	case x.req.Minor == 0:
		return "Connection: keep-alive\r\n"
	}
	return ""
}

// stays reports whether the connection may outlive the request at hand.
func (c *conn) stays() bool {
	most := c.bounds.Caps.Requests
	return (most == 0 || c.requests < most) && !c.s.draining.Load()
}

// reject answers a request that is not forwarded, and reports whether the
// connection may go on: only when the whole body is here.
func (c *conn) reject(x *exchange, a *middleware.Answer) bool {
	w, body := x.response(a)
	return c.deliver(x, w, body, a.Close)
}

// deliver sends a response of ours, and reports whether the connection may go
// on; closes has it end.
func (c *conn) deliver(x *exchange, w *middleware.Response, body []byte, closes bool) bool {
	keep := x.req.KeepAlive && x.up.done && !closes && c.stays()
	ok := c.say(x, w, body, keep)
	if ok && !keep && !x.up.done {
		c.linger()
	}
	return ok && keep
}

// refuse ends a connection after a head that cannot be served, with an answer
// where there is one.
// x is nil where not even a head came.
func (c *conn) refuse(x *exchange, err error) {
	status, reason := refusal(err)
	if status == 0 {
		return
	}
	if x == nil {
		x = getExchange()
		defer putExchange(x)
		c.observe(x, nil)
		x.req = http1.Request{Head: http1.Head{Fields: x.req.Fields[:0]}}
	}
	x.status, x.ours, x.reason = status, true, reason
	c.stats.requests.Add(1)
	if c.revive(c.bounds.Timeouts.Stall) && c.answer(nil, &middleware.Answer{Status: status, Reason: reason}, false) {
		c.linger()
	}
}

// refusal is what a client is told whose request was refused for err; no
// status says that there is nobody to tell.
func refusal(err error) (status int, reason string) {
	var bad *http1.Error
	switch {
	case errors.As(err, &bad):
		return bad.Status(), bad.Error()
	case errors.Is(err, errSlowHead):
		return http.StatusRequestTimeout, err.Error()
	}
	return 0, ""
}
