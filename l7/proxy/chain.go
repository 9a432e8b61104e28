package proxy

import (
	"bytes"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// A passage is x's request as the middlewares of its route see it. It is
// reused, as the exchange is.
type passage struct {
	chain *middleware.Chain // nil where nobody looks
	req   middleware.Request
	resp  middleware.Response
	// own are the lines of the composed head that are the engine's.
	own []string
	// path and authority are those that the request came with.
	path, authority string
}

// pass has the middlewares of x's route see its request, which was composed
// and whose head is given. An answer ends it here; without one it is to be
// composed anew from what they have made of it.
func (l *leash) pass(x *exchange, head []byte) *middleware.Answer {
	p := &x.pass
	if x.begun.IsZero() {
		x.begun = x.began()
	}
	l.show(x, head)
	p.chain = x.way.chain
	l.deadline.move(0, busy) // middlewares keep their own times; a cut is found later
	if a := p.chain.Handle(l.s.ctx, &p.req); a != nil {
		return a
	}
	x.forwarded = true
	if most := p.req.Body.Most; most > 0 && (x.up.most == 0 || most < x.up.most) {
		x.up.most = most
		if x.req.Length > most || x.up.chunks.Data() > most {
			status, reason := refusal(http1.ErrBodyLarge)
			return &middleware.Answer{Status: status, Reason: reason}
		}
	}
	return nil
}

// show fills x.pass from the head that was composed, so that middlewares see
// what the endpoint would. All strings are parts of one.
func (l *leash) show(x *exchange, head []byte) {
	p, r := &x.pass, &x.pass.req
	r.Reset()
	p.own = p.own[:0]
	s := string(x.out)
	line, rest, _ := strings.Cut(s, "\r\n")
	r.Method = line[:x.req.MethodName.Len()]
	target := line[len(r.Method)+1 : len(line)-len(" HTTP/1.1")]
	r.Path, r.Query = target[:len(x.path)], target[len(x.path):]
	p.path, p.authority = r.Path, ""
	for line, rest, _ = strings.Cut(rest, "\r\n"); line != ""; line, rest, _ = strings.Cut(rest, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		switch {
		case strings.EqualFold(name, "host"):
			r.Authority, p.authority = value, value
		case middleware.Reserved(name):
			p.own = append(p.own, line)
		default:
			r.Header.Add(name, value)
		}
	}
	if r.Host = r.Authority; r.Host != string(x.host) {
		r.Host = string(x.host)
	}
	r.Peer = l.peer
	r.Hops = l.appendHops(r.Hops, &x.req, head)
	r.Client = r.Hops[len(r.Hops)-1]
	r.Scheme = l.schemeOf(&x.req, head)
	r.Entrypoint, r.Port = l.s.entry.Name, l.s.port
	r.Certificates = l.certificates()
	r.Length = x.req.Length
	if x.req.Framing == http1.Chunked {
		r.Length = -1
	}
	r.Upgrade, r.GRPC = x.upgrade, isGRPC(&x.req, head)
	r.Begun = x.begun
}

// recompose writes the head that the endpoint gets as the middlewares have left
// it. A status says that it cannot be sent.
func (x *exchange) recompose() *middleware.Answer {
	r := &x.pass.req
	if r.Path != x.pass.path {
		path, err := route.CanonicalPath(x.path[:0], []byte(r.Path))
		if err != nil || elements(path) != elements([]byte(r.Path)) {
			return &middleware.Answer{Status: 400, Reason: "the path leads elsewhere once it is rewritten"}
		}
		x.path = path
	}
	if !isQuery(r.Query) {
		return &middleware.Answer{Status: 400, Reason: "the query is malformed once it is rewritten"}
	}
	if r.Authority != x.pass.authority {
		if _, err := route.CanonicalHost(nil, []byte(r.Authority)); err != nil {
			return &middleware.Answer{Status: 500, Reason: "the host of the request cannot be sent"}
		}
	}
	out := append(append(x.out[:0], r.Method...), ' ')
	out = append(append(append(out, x.path...), r.Query...), " HTTP/1.1\r\n"...)
	out = appendText(out, "Host", r.Authority)
	for _, f := range r.Header {
		if middleware.Reserved(f.Name) {
			continue
		}
		if !isSound(f) {
			return &middleware.Answer{Status: 500, Reason: "a header field of the request cannot be sent"}
		}
		out = appendText(out, f.Name, f.Value)
	}
	for _, line := range x.pass.own {
		out = append(append(out, line...), '\r', '\n')
	}
	x.out = append(out, '\r', '\n')
	return nil
}

// elements counts the elements of a path that are not empty.
func elements(path []byte) int {
	n := 0
	for e := range bytes.SplitSeq(path, []byte("/")) {
		if len(e) > 0 {
			n++
		}
	}
	return n
}

// isQuery reports whether q can stand behind a path in a request line.
func isQuery(q string) bool {
	return q == "" || q[0] == '?' && !strings.ContainsFunc(q, func(c rune) bool { return c <= ' ' || c == 0x7F || c == '#' })
}

// isSound reports whether f can be sent.
func isSound(f middleware.Field) bool {
	return httpguts.ValidHeaderFieldName(f.Name) && httpguts.ValidHeaderFieldValue(f.Value)
}

func appendText(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, name...), ": "...), value...)
	return append(dst, '\r', '\n')
}

// bodily reports whether the body of the response may become another one.
func (x *exchange) bodily() bool { return x.pass.chain != nil && x.pass.chain.Bodily() }

// watched reports whether somebody sees the response to x's request.
func (x *exchange) watched() bool { return x.pass.chain != nil && x.pass.req.WantsResponse() }

// present has those who asked for it see the response whose head is given, and
// returns what they made of it.
func (x *exchange) present(head []byte) *middleware.Response {
	w := &x.pass.resp
	*w = middleware.Response{Status: x.resp.Status, Header: w.Header[:0], Length: -1}
	x.pass.own = x.pass.own[:0]
	s := string(head)
	for i := range x.resp.Fields {
		f := &x.resp.Fields[i]
		switch name := s[f.Name.Start:f.Name.End]; {
		case f.Drop:
		case middleware.Reserved(name):
			x.pass.own = append(x.pass.own, s[f.Name.Start:f.Value.End])
		default:
			w.Header.Add(name, s[f.Value.Start:f.Value.End])
		}
	}
	if x.resp.Framing == http1.Length || x.resp.Framing == http1.None {
		w.Length = x.resp.Length
	}
	x.pass.req.Respond(w)
	if w.Replaced() == nil && hasBody(w.Status) != hasBody(x.resp.Status) {
		w.Status = x.resp.Status // the body is on its way, or is not
	}
	return w
}

// hasBody reports whether a final response of a status has a body (RFC 9110,
// section 6.4.1).
func hasBody(status int) bool { return status != 204 && status != 304 }
