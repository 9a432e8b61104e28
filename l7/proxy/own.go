package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
)

// A Redirect has clients come back to another entrypoint. The zero Redirect is
// none.
type Redirect struct {
	// Scheme is "http" or "https", Port that of TCP.
	Scheme string
	Port   uint16
}

// challengePath is where a certificate authority looks whether a host is ours
// (RFC 8555, section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// resolve finds the way that x's request goes. One that goes nowhere is
// answered.
func (l *leash) resolve(x *exchange, head []byte) *middleware.Answer {
	if a := l.entryAnswer(x, head); a != nil {
		return a
	}
	status, reason := l.s.find(x)
	if status == 0 {
		return nil
	}
	return &middleware.Answer{Status: status, Reason: reason}
}

// entryAnswer is what the entrypoint itself answers, whatever the routes are.
func (c *client) entryAnswer(x *exchange, head []byte) *middleware.Answer {
	if x.req.Form == http1.Asterisk {
		// What it is about is the server, and that is us (RFC 9110, section
		// 9.3.7).
		return &middleware.Answer{Status: http.StatusNoContent, Header: middleware.Header{{Name: "Allow", Value: allowed}}}
	}
	redirect := c.s.entry.Redirect.Scheme != ""
	if !redirect && c.p.challenge == nil {
		return nil
	}
	if token, ok := strings.CutPrefix(string(x.path), challengePath); ok {
		return c.meetChallenge(x, token)
	}
	if redirect {
		return c.s.entry.Redirect.answer(x, head)
	}
	return nil
}

// allowed are the methods that an endpoint may know; TRACE and CONNECT are not
// forwarded.
const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// meetChallenge answers with what proves that the host is ours. A token that is
// not known is somebody else's, and goes by the routes.
func (c *client) meetChallenge(x *exchange, token string) *middleware.Answer {
	if c.p.challenge == nil || x.req.Method != http1.GET && x.req.Method != http1.HEAD {
		return nil
	}
	proof, ok := c.p.challenge(string(x.host), token)
	if !ok {
		return nil
	}
	return &middleware.Answer{
		Status: http.StatusOK,
		Header: middleware.Header{{Name: "Content-Type", Value: "text/plain"}},
		Body:   []byte(proof),
	}
}

// answer leads x's client to r. All but GET and HEAD keep their method and
// their body by 308 (RFC 9110, section 15.4.9); for those two 301 says the same
// and is understood by everybody.
func (r Redirect) answer(x *exchange, head []byte) *middleware.Answer {
	if len(x.host) == 0 {
		return &middleware.Answer{Status: http.StatusBadRequest, Reason: "the request names no host to redirect to"}
	}
	to := r.Scheme + "://" + string(x.host)
	if r.Scheme == "https" && r.Port != 443 || r.Scheme == "http" && r.Port != 80 {
		to += ":" + strconv.Itoa(int(r.Port))
	}
	to += string(x.path) + string(x.req.Query.Of(head))
	status := http.StatusPermanentRedirect
	if x.req.Method == http1.GET || x.req.Method == http1.HEAD {
		status = http.StatusMovedPermanently
	}
	return &middleware.Answer{Status: status, Header: middleware.Header{{Name: "Location", Value: to}}}
}
