package proxy

import (
	"errors"

	"github.com/portico-lb/portico/l7/http2"
)

// A streamFront is a stream of HTTP/2.
type streamFront struct{ *http2.Stream }

func (f streamFront) protocol() string { return "HTTP/2.0" }

func (f streamFront) notify(l *leash) {
	if l == nil {
		f.Notify(nil)
		return
	}
	// Not from here: the stream's connection is locked now, and a cut of the
	// lane locks it behind the lane.
	f.Notify(func() { l.s.group.Go(l.kill) })
}

func (f streamFront) head(dst []byte) ([]byte, error) {
	f.Patient() // the lane watches over the body
	in := intake{out: dst}
	method, path := f.Method, f.Path
	websocket := string(f.Protocol) == "websocket"
	switch {
	case websocket:
		method = []byte("GET")
	case path == nil || f.Protocol != nil:
		path = []byte("*") // CONNECT, which is refused
	}
	in.line(method, path, f.Authority)
	for i := range f.Fields {
		in.field(f.Fields[i].Name, f.Fields[i].Value)
	}
	if websocket {
		in.upgrade()
	}
	return in.end(f.HasBody && !websocket)
}

func (f streamFront) read(p []byte) (int, error) { return f.Read(p) }
func (f streamFront) trailers() []field          { return f.Trailers() }
func (f streamFront) stopReading()               { f.StopRead(true) }
func (f streamFront) resumeReading()             { f.StopRead(false) }
func (f streamFront) flush() error               { return f.Flush() }

func (f streamFront) interim(status int, fields []field) error {
	err := f.WriteInterim(status, fields)
	if errors.Is(err, http2.ErrEnded) {
		return nil // behind the response there is none
	}
	return err
}

func (f streamFront) respond(status int, fields []field, end, _ bool) error {
	return f.WriteHead(status, fields, end)
}

func (f streamFront) write(p []byte) error {
	_, err := f.Write(p)
	return err
}

func (f streamFront) finish(p []byte, trailers []field) error {
	if len(trailers) == 0 {
		return f.WriteLast(p)
	}
	if len(p) > 0 {
		if err := f.write(p); err != nil {
			return err
		}
	}
	return f.WriteEnd(trailers)
}

func (f streamFront) abort() { f.Abort(http2.InternalError) }
