package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/route"
)

// Transport returns what has an endpoint of b answer requests of our own, by
// the policy of b: retries, ejections and limits are those of all requests. A
// request's URL names the path alone. Its context bounds the wait for the
// response, and the body too; the caller bounds how much of that is read.
func (p *Proxy) Transport(b route.Backend) http.RoundTripper { return transport{p, b} }

// A transport asks the endpoints of one backend.
type transport struct {
	p *Proxy
	b route.Backend
}

// known returns b's pool, nil where there is none.
func (p *Proxy) known(b route.Backend) *backend.Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pools[b]
}

// RoundTrip sends r and returns the response's head. A request with a body goes
// to one endpoint alone.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	pl := t.p.known(t.b)
	if pl == nil {
		return nil, errors.New(t.b.String() + ": " + backend.NoEndpoint.String())
	}
	r = t.prepare(r)
	call := backend.Call{
		Idempotent: r.Method != http.MethodPost && r.Method != http.MethodPatch,
		Streams:    r.Body != nil,
		Once:       r.Body != nil,
	}
	for {
		b, refusal := pl.Connect(r.Context(), &call)
		if refusal != 0 {
			return nil, errors.New(t.b.String() + ": " + refusal.String())
		}
		resp, got, err := talk(b, r)
		if err == nil {
			b.Report(backend.OutcomeOf(resp.StatusCode))
			return resp, nil
		}
		delivered := b.Delivered(err)
		b.Release(false)
		switch {
		case r.Context().Err() != nil:
			b.Report(backend.TimedOut)
			return nil, context.Cause(r.Context())
		case got:
			b.Report(backend.Malformed)
			return nil, err
		}
		b.Report(backend.Died)
		if !pl.Retry(&call, b, delivered) {
			return nil, err
		}
	}
}

// prepare makes r one that can be sent to an endpoint.
func (t transport) prepare(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Close = false
	if r.Body == http.NoBody {
		r.Body = nil
	}
	if r.Host == "" {
		r.Host = t.b.Service + "." + t.b.Namespace
	}
	r.URL.Scheme, r.URL.Host = "http", r.Host
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "portico")
	}
	return r
}

// talk sends r over b and returns the head of the response. Where there is
// none, got is whether anything came.
func talk(b *backend.Conn, r *http.Request) (resp *http.Response, got bool, err error) {
	stop := context.AfterFunc(r.Context(), b.Interrupt)
	if b.HTTP2() {
		resp, err = b.RoundTrip(r)
		if err != nil {
			stop()
			return nil, false, err
		}
		resp.Body = &lentBody{ReadCloser: resp.Body, b: b, stop: stop, reusable: true}
		return resp, true, nil
	}
	counted := &counter{w: b}
	err = r.Write(counted)
	b.Sent(counted.n)
	in := bufio.NewReader(b)
	// Even when not all could be written there may be an answer.
	if _, rerr := in.Peek(1); rerr != nil {
		stop()
		return nil, false, errors.Join(err, rerr)
	}
	for {
		resp, rerr := http.ReadResponse(in, r)
		if rerr != nil {
			stop()
			return nil, true, rerr
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			stop()
			return nil, true, errInterim
		}
		if resp.StatusCode >= 200 {
			resp.Body = &lentBody{ReadCloser: resp.Body, b: b, stop: stop, in: in,
				reusable: err == nil && !resp.Close, read: resp.Body == http.NoBody}
			return resp, true, nil
		}
	}
}

// A counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// A lentBody gives the connection back when it is closed.
type lentBody struct {
	io.ReadCloser
	b        *backend.Conn
	in       *bufio.Reader // nil for a stream
	stop     func() bool   // ends the watch over the context
	reusable bool
	read     bool // to its end
	closed   bool
}

// Read reads the response's body.
func (l *lentBody) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	l.read = l.read || errors.Is(err, io.EOF)
	return n, err
}

// Close ends the use of the connection. What has not been read of the body is
// not waited for.
func (l *lentBody) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	intact := l.stop()
	if l.in == nil {
		l.ReadCloser.Close()
	}
	l.b.Release(intact && l.reusable && l.read && (l.in == nil || l.in.Buffered() == 0))
	return nil
}
