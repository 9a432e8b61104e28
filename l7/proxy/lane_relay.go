package proxy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
)

// relay passes on the response whose head is at the start of x.in.
func (l *lane) relay(x *exchange, b *backend.Conn, up *upload) verdict {
	if x.resp.Status == http.StatusSwitchingProtocols {
		return l.tunnel(x, b)
	}
	l.plain = plainSource{l: l, b: b}
	return l.respond(x, b, up, &l.plain)
}

// A source is where a response's body comes from.
type source interface {
	// held returns the data that came with the head.
	held(x *exchange) ([]byte, error)
	// next waits for more, and sets x.down.done at the end. What it returns is
	// valid until the next call.
	next(x *exchange) ([]byte, error)
	// pauses reports whether more has to be waited for behind data.
	pauses(data []byte) bool
	// trailers are those behind the body.
	trailers(x *exchange) []field
	// release gives up the connection, or gives it back where it is fit for
	// more.
	release(x *exchange, fit bool)
}

// respond sends the response whose head is at the start of x.in and whose body
// comes from src.
func (l *lane) respond(x *exchange, b *backend.Conn, up *upload, src source) verdict {
	head := x.in.bytes()[:x.resp.Size]
	x.in.r += x.resp.Size
	x.down = newBody(&x.resp.Head)
	data, err := src.held(x)
	if err != nil {
		up.stop()
		src.release(x, false)
		return broken
	}
	var transforms []middleware.Transform
	if x.watched() {
		w := x.present(head)
		if w.Replaced() != nil {
			return l.replace(x, up, src, w)
		}
		x.retakeFields(w)
		transforms = w.Transforms()
	} else {
		x.takeFields(head)
	}
	if !x.dated(head) {
		x.fields = append(x.fields, lineField(l.p.date.line(time.Now())))
	}
	if cookie := b.SetCookie(&x.call, l.secure); cookie != "" {
		x.fields = append(x.fields, field{Name: []byte("set-cookie"), Value: []byte(cookie)})
	}
	if x.altSvc != "" {
		x.fields = append(x.fields, lineField(x.altSvc))
	}
	uploaded := up.finishes()
	up.markAnswered()
	released := x.down.done && uploaded
	if released {
		// Not after the write: a slow client need not hold it.
		src.release(x, true)
		x.markEnd()
	}
	l.begun.Store(true)
	l.responded(x, x.resp.Status)
	x.sees(x.fields)
	err = l.send(x, src, data, uploaded, transforms)
	if err != nil {
		l.breakOff(x)
	}
	if !released {
		x.markEnd()
		complete := up.finished()
		up.stop()
		src.release(x, err == nil && complete)
	}
	if err != nil {
		return closes
	}
	return served
}

// replace sends what w was replaced by, and throws the endpoint's response away.
func (l *lane) replace(x *exchange, up *upload, src source, w *middleware.Response) verdict {
	x.isOurs(w.Replaced())
	complete := up.finished()
	up.stop()
	src.release(x, complete && x.down.done)
	if l.say(x, w, finish(w, nil), w.Replaced().Reason) {
		return served
	}
	return closes
}

// retakeFields lists those of w, which came from an endpoint.
func (x *exchange) retakeFields(w *middleware.Response) {
	x.resp.Status = w.Status
	x.fields, x.text = x.fields[:0], x.text[:0]
	x.listFields(slices.DeleteFunc(w.Header, func(f middleware.Field) bool { return middleware.Reserved(f.Name) || !isSound(f) }))
	changed := len(w.Transforms()) > 0
	for _, line := range x.pass.own {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "trailer") || !changed && strings.EqualFold(name, "content-length") {
			x.listFields(middleware.Header{{Name: name, Value: strings.Trim(value, " \t")}})
		}
	}
	if changed && x.resp.Framing != http1.None {
		x.resp.Framing = http1.Chunked // whatever it was
	}
}

// send sends head and body, of which data is here.
func (l *lane) send(x *exchange, src source, data []byte, uploaded bool, by []middleware.Transform) error {
	if x.resp.Framing == http1.None {
		by = nil
	}
	end := x.down.done && len(data) == 0 && len(src.trailers(x)) == 0 && len(by) == 0
	if !l.arm(l.bounds.Timeouts.Stall) {
		return errEnded
	}
	if err := l.front.respond(x.resp.Status, x.fields, end, uploaded); err != nil || end {
		return err
	}
	if len(by) > 0 {
		return l.sendThrough(x, src, data, by)
	}
	for !x.down.done {
		err := error(nil)
		if len(data) > 0 {
			err = l.front.write(data)
		}
		if err == nil {
			err = l.front.flush()
		}
		if err == nil && !l.wait(x.policy.Timeouts.Response) {
			err = errEnded
		}
		if err == nil {
			data, err = src.next(x)
		}
		if err == nil && !l.arm(l.bounds.Timeouts.Stall) {
			err = errEnded
		}
		if err != nil {
			return err
		}
	}
	trailers := src.trailers(x)
	x.seesTrailers(trailers)
	return l.front.finish(data, trailers)
}

// A plainSource is a connection that speaks HTTP/1.1.
type plainSource struct {
	l *lane
	b *backend.Conn
}

func (s *plainSource) held(x *exchange) ([]byte, error) {
	from := x.in.r
	size, err := x.takeDown(x.down.framing == http1.Chunked)
	return x.in.b[from : from+size], err
}

func (s *plainSource) next(x *exchange) ([]byte, error) {
	x.in.clear()
	err := x.in.fill(s.b, len(x.in.b))
	if err == io.EOF && x.down.framing == http1.Close { //nolint:errorlint // as the connection gave it
		x.down.done = true
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.held(x)
}

func (s *plainSource) pauses([]byte) bool { return s.b.TCP == nil || !s.b.TCP.Pending() }

func (s *plainSource) trailers(x *exchange) []field { return parseTrailers(x.down.trailers) }

func (s *plainSource) release(x *exchange, fit bool) {
	s.l.release(s.b, fit && x.down.done && x.resp.KeepAlive && x.in.len() == 0)
}
