package proxy

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A netFront is a request of HTTP/3, which comes by way of net/http's
// interfaces.
type netFront struct {
	w    http.ResponseWriter
	r    *http.Request
	rc   *http.ResponseController
	stop func() bool // ends the watch over the request's context

	first  []byte // of the body, read to see whether there is one
	peeked [1]byte
	// tunnel is the stream, once it carries a websocket: each half of that
	// ends by itself.
	tunnel *http3.Stream

	// heads is held while a head goes out: 100 (Continue) comes from the
	// goroutine that reads the body. Behind the response there is none.
	heads sync.Mutex
	begun bool // the response

	mu      sync.Mutex
	over    bool // the handler has returned: w and r are not to be touched
	aborted bool
}

// serveNet carries a request of c, and panics as net/http wants it where the
// response is to be broken off.
func (s *server) serveNet(c *client, w http.ResponseWriter, r *http.Request) {
	f := &netFront{w: w, r: r, rc: http.NewResponseController(w)}
	s.carry(c, f)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	switch {
	case f.tunnel != nil:
		f.endTunnel()
	case f.aborted || !f.begun: // net/http would say 200
		panic(http.ErrAbortHandler)
	}
}

// endTunnel ends the stream, which is ours alone. What a client of a websocket
// takes for the reset of a connection of TCP is a stream that is given up (RFC
// 9220, section 3).
func (f *netFront) endTunnel() {
	code := quic.StreamErrorCode(http3.ErrCodeNoError)
	if f.aborted {
		code = quic.StreamErrorCode(http3.ErrCodeRequestCanceled)
		f.tunnel.CancelWrite(code)
	}
	f.tunnel.CancelRead(code)
	f.tunnel.Close()
}

// protocol is not what the request says, which names that of a tunnel there.
func (f *netFront) protocol() string { return "HTTP/3.0" }

// websocket reports whether one is asked for (RFC 9220).
func (f *netFront) websocket() bool {
	return f.r.Method == http.MethodConnect && f.r.Proto == "websocket"
}

func (f *netFront) notify(l *leash) {
	if l != nil {
		f.stop = context.AfterFunc(f.r.Context(), l.kill)
		return
	}
	f.stop()
}

func (f *netFront) head(dst []byte) ([]byte, error) {
	in := intake{out: dst}
	method, path := f.r.Method, f.r.RequestURI
	switch {
	case f.websocket():
		method = http.MethodGet
	case method == http.MethodConnect:
		path = "*" // it is refused
	}
	in.line([]byte(method), []byte(path), []byte(f.r.Host))
	for name, values := range f.r.Header {
		if name == "Cookie" { // RFC 9114, section 4.2.1
			values = []string{strings.Join(values, "; ")}
		}
		for _, v := range values {
			in.field([]byte(name), []byte(v))
		}
	}
	for name := range f.r.Trailer { // net/http has taken the announcement out
		in.field([]byte("Trailer"), []byte(name))
	}
	if f.websocket() {
		in.upgrade()
		return in.end(false)
	}
	return in.end(f.hasBody())
}

// hasBody reports whether a body comes. Where neither a length nor the end of
// the stream has told, it is waited for with methods that seldom have one: an
// endpoint would see an empty chunked body, which some refuse.
func (f *netFront) hasBody() bool {
	if f.r.ContentLength >= 0 {
		return f.r.ContentLength > 0
	}
	switch f.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete:
		n, err := io.ReadFull(f.r.Body, f.peeked[:])
		f.first = f.peeked[:n]
		return err == nil
	}
	return true
}

func (f *netFront) read(p []byte) (int, error) {
	if len(f.first) > 0 {
		n := copy(p, f.first)
		f.first = f.first[n:]
		return n, nil
	}
	return f.r.Body.Read(p)
}

func (f *netFront) trailers() []field { return appendHeader(nil, f.r.Trailer) }

// appendHeader appends the fields of h.
func appendHeader(dst []field, h http.Header) []field {
	for name, values := range h {
		for _, v := range values {
			dst = append(dst, field{Name: []byte(name), Value: []byte(v)})
		}
	}
	return dst
}

func (f *netFront) stopReading()   { f.readUntil(past()) }
func (f *netFront) resumeReading() { f.readUntil(time.Time{}) }

func (f *netFront) readUntil(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		f.rc.SetReadDeadline(t) //nolint:errcheck // a stream that takes none is over
	}
}

func (f *netFront) interim(status int, fields []field) error {
	f.heads.Lock()
	defer f.heads.Unlock()
	if f.begun {
		return nil
	}
	h := f.w.Header()
	for _, v := range fields {
		h.Add(string(v.Name), string(v.Value))
	}
	f.w.WriteHeader(status)
	clear(h)
	return nil
}

func (f *netFront) respond(status int, fields []field, end, whole bool) error {
	f.heads.Lock()
	defer f.heads.Unlock()
	h := f.w.Header()
	h["Date"] = nil // the endpoint's stands, or none
	for _, v := range fields {
		h.Add(string(v.Name), string(v.Value))
	}
	f.w.WriteHeader(status)
	f.begun = true
	if f.websocket() && status == http.StatusOK {
		return f.takeOver()
	}
	return nil
}

// takeOver makes the stream ours, with the response's head before all else.
func (f *netFront) takeOver() (err error) {
	if s, ok := f.w.(http3.HTTPStreamer); ok {
		f.tunnel, err = s.HTTPStream()
	}
	return err
}

func (f *netFront) write(p []byte) (err error) {
	if f.tunnel != nil {
		_, err = f.tunnel.Write(p)
	} else {
		_, err = f.w.Write(p)
	}
	return err
}

func (f *netFront) finish(p []byte, trailers []field) error {
	if f.tunnel != nil {
		f.stop() // the request's context ends with this half
		if len(p) > 0 {
			if err := f.write(p); err != nil {
				return err
			}
		}
		return f.tunnel.Close()
	}
	for _, t := range trailers {
		f.w.Header().Add(http.TrailerPrefix+string(t.Name), string(t.Value))
	}
	if len(p) == 0 {
		return nil
	}
	return f.write(p)
}

func (f *netFront) flush() error {
	if f.tunnel != nil {
		return nil // nothing is kept back
	}
	return f.rc.Flush()
}

func (f *netFront) abort() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.aborted = true; !f.over {
		f.rc.SetWriteDeadline(past()) //nolint:errcheck // a stream that takes none is over
	}
}
