package proxy

import "github.com/portico-lb/portico/l7/middleware"

// A frontWriter is where a body goes that was transformed. What it holds goes
// out when it is full or flushed, and the last of it with the end.
type frontWriter struct {
	l    *lane
	buf  []byte // len is what is held, cap what may be
	sent int64
}

// Write sends what there is no room for.
func (w *frontWriter) Write(p []byte) (int, error) {
	if len(w.buf)+len(p) > cap(w.buf) {
		if err := w.send(); err != nil {
			return 0, err
		}
	}
	if len(p) > cap(w.buf) {
		w.sent += int64(len(p))
		return len(p), w.l.front.write(p)
	}
	w.buf = append(w.buf, p...)
	return len(p), nil
}

func (w *frontWriter) send() error {
	if len(w.buf) == 0 {
		return nil
	}
	if !w.l.arm(w.l.bounds.Timeouts.Stall) {
		return errEnded
	}
	w.sent += int64(len(w.buf))
	err := w.l.front.write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// Flush has the client get everything that was written.
func (w *frontWriter) Flush() error {
	if err := w.send(); err != nil {
		return err
	}
	return w.l.front.flush()
}

// Close does nothing: the end goes out with the trailers.
func (w *frontWriter) Close() error { return nil }

// sendThrough sends a body, of which data is here, by way of transforms.
func (l *lane) sendThrough(x *exchange, src source, data []byte, by []middleware.Transform) error {
	buf := getLarge()
	defer putLarge(buf)
	front := &frontWriter{l: l, buf: buf[:0]}
	w := through(front, by)
	for {
		if _, err := w.Write(data); err != nil {
			return err
		}
		if x.down.done {
			break
		}
		if src.pauses(data) {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		if !l.wait(x.policy.Timeouts.Response) {
			return errEnded
		}
		var err error
		if data, err = src.next(x); err != nil {
			return err
		}
		if !l.arm(l.bounds.Timeouts.Stall) {
			return errEnded
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	trailers := src.trailers(x)
	x.seesTrailers(trailers)
	x.sent = front.sent + int64(len(front.buf))
	return l.front.finish(front.buf, trailers)
}
