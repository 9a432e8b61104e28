package proxy

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A netFront is a request that came by way of net/http's interfaces.
type netFront struct {
	w    http.ResponseWriter
	r    *http.Request
	rc   *http.ResponseController
	stop func() bool // ends the watch over the request's context

	first  []byte // of the body, read to see whether there is one
	peeked [1]byte
	begun  bool // the response

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
	if f.aborted || !f.begun { // net/http would say 200
		panic(http.ErrAbortHandler)
	}
}

func (f *netFront) protocol() string { return f.r.Proto }

func (f *netFront) notify(l *leash) {
	if l != nil {
		f.stop = context.AfterFunc(f.r.Context(), l.kill)
		return
	}
	f.stop()
}

func (f *netFront) head(dst []byte) ([]byte, error) {
	in := intake{out: dst}
	in.line([]byte(f.r.Method), []byte(f.r.RequestURI), []byte(f.r.Host))
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
	if status == http.StatusContinue {
		return nil // sent when the body is read
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
	h := f.w.Header()
	h["Date"] = nil // the endpoint's stands, or none
	for _, v := range fields {
		h.Add(string(v.Name), string(v.Value))
	}
	f.w.WriteHeader(status)
	f.begun = true
	return nil
}

func (f *netFront) write(p []byte) error {
	_, err := f.w.Write(p)
	return err
}

func (f *netFront) finish(p []byte, trailers []field) error {
	for _, t := range trailers {
		f.w.Header().Add(http.TrailerPrefix+string(t.Name), string(t.Value))
	}
	if len(p) == 0 {
		return nil
	}
	return f.write(p)
}

func (f *netFront) flush() error { return f.rc.Flush() }

func (f *netFront) abort() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.aborted = true; !f.over {
		f.rc.SetWriteDeadline(past()) //nolint:errcheck // a stream that takes none is over
	}
}
