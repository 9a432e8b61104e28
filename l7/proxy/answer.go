package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/portico-lb/portico/l7/http1"
)

// answer sends a response of our own with the reason in words. x is nil where
// there is no request that could be understood.
func (c *conn) answer(x *exchange, status int, reason string, keep bool) bool {
	body := fmt.Sprintf("%d %s: %s\n", status, http.StatusText(status), reason)
	out := make([]byte, 0, 512)
	out = append(out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(append(out, ' '), http.StatusText(status)...)
	out = append(out, "\r\nDate: "...)
	out = time.Now().UTC().AppendFormat(out, http.TimeFormat)
	out = append(out, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	if status == http.StatusServiceUnavailable {
		out = append(out, "\r\nRetry-After: "+retryAfter...)
	}
	if line := connectionLine(x, keep); line != "" {
		out = append(append(out, "\r\n"...), line[:len(line)-2]...)
	}
	out = append(out, "\r\n\r\n"...)
	if x == nil || x.req.Method != http1.HEAD {
		out = append(out, body...)
	}
	c.stats.responded(status)
	if !c.arm(c.bounds.Timeouts.Stall) {
		return false
	}
	_, err := c.rw.Write(out)
	return err == nil
}

// retryAfter is in how many seconds a request is worth another try that could
// not be served: endpoints come, and queues are served, as quickly as that.
const retryAfter = "1"

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
func (c *conn) reject(x *exchange, status int, reason string) bool {
	keep := x.req.KeepAlive && x.up.done && c.stays()
	ok := c.answer(x, status, reason, keep)
	if ok && !keep && !x.up.done {
		c.linger()
	}
	return ok && keep
}

// refuse ends a connection after a head that cannot be served, with an answer
// where there is one.
func (c *conn) refuse(err error) {
	status, reason := refusal(err)
	if status == 0 {
		return
	}
	c.stats.requests.Add(1)
	if c.revive(c.bounds.Timeouts.Stall) && c.answer(nil, status, reason, false) {
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
