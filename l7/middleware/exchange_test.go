package middleware_test

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// read makes a request of "METHOD URL" and the lines of its fields, as the
// engine does of a client's at 192.0.2.1.
func read(t *testing.T, text string) *Request {
	t.Helper()
	line, fields, _ := strings.Cut(text, "\n")
	method, target, _ := strings.Cut(line, " ")
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	host, err := route.CanonicalHost(nil, []byte(u.Host))
	if err != nil {
		t.Fatal(err)
	}
	path, err := route.CanonicalPath(nil, []byte(u.EscapedPath()))
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddr("192.0.2.1")
	r := &Request{
		Method: method, Scheme: u.Scheme, Host: string(host), Authority: u.Host, Path: string(path), Length: -1,
		Client: client, Peer: client, Hops: []netip.Addr{client}, Entrypoint: u.Scheme, Begun: begun,
		Header: append(readFields(fields), Field{"X-Forwarded-Host", u.Host}),
	}
	if u.RawQuery != "" {
		r.Query = "?" + u.RawQuery
	}
	return r
}

func readFields(text string) (h Header) {
	for line := range strings.Lines(text) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		h.Add(name, v)
	}
	return h
}

func written(h Header) (out string) {
	for _, f := range h {
		if f.Name != "X-Forwarded-Host" {
			out += "\n" + f.Name + ": " + f.Value
		}
	}
	return out
}

// exchange has c handle r, and tells what the endpoint gets, if that is asked,
// and the head of the response to the client. What the endpoint says is response,
// "STATUS" and the lines of its fields; without one that is not told.
func exchange(c *Chain, r *Request, response string) string {
	if a := c.Handle(context.Background(), r); a != nil {
		w := &Response{Status: a.Status, Header: a.Header, Ours: true}
		r.Respond(w)
		r.Done(Outcome{Status: w.Status})
		return strconv.Itoa(w.Status) + written(w.Header)
	}
	if response == "" {
		r.Done(Outcome{Forwarded: true})
		return fmt.Sprintf("%s %s %s%s", r.Method, r.Authority, r.Path, r.Query) + written(r.Header)
	}
	status, fields, _ := strings.Cut(response, "\n")
	w := &Response{Header: readFields(fields)}
	w.Status, _ = strconv.Atoi(status)
	r.Respond(w)
	r.Done(Outcome{Forwarded: true, Status: w.Status})
	return strconv.Itoa(w.Status) + written(w.Header)
}

func chain(steps ...Step) *Chain {
	return NewChain(steps, env(), nil)
}

// faults parses a section and lists what is wrong with it.
func faults(s interface{ Parse(value.Parser) Step }) string {
	var out []string
	s.Parse(value.Parser{Bad: func(key, problem string) { out = append(out, key+": "+problem) }})
	return strings.Join(out, "\n")
}
