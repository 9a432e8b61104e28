package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// How an HTTP/2 connection is found dead that says nothing: it is asked after
// pingAfter, and has pingWait to answer.
const (
	pingAfter = 15 * time.Second
	pingWait  = 5 * time.Second
)

// An h2conn is an HTTP/2 connection that streams of several requests share.
type h2conn struct {
	cc client
	// most is how many streams the endpoint wants at once (RFC 9113, section
	// 5.1.2).
	most    int
	streams int // ours; the endpoint's mu guards it
}

// A client is golang.org/x/net's, and not net/http's in its place, which cannot
// ping: that is how it is known before the first request that an endpoint
// speaks HTTP/2.
type client = *http2.ClientConn //nolint:staticcheck // see above

// A stream is one request's share of an h2conn.
type stream struct {
	*h2conn
	mu     sync.Mutex
	over   bool
	cancel context.CancelFunc // of the request, once it has begun
}

// begin returns the context of a request over s.
func (s *stream) begin(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel = cancel; s.over {
		cancel()
	}
	return ctx
}

// stop ends the request.
func (s *stream) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over = true; s.cancel != nil {
		s.cancel()
	}
}

// A dialing is an HTTP/2 connection that is being made. Whoever wants one
// meanwhile waits for it.
type dialing struct {
	over chan struct{}
	err  error // valid once over is closed
}

// stream returns a stream to e, which counts a request in flight already. The
// connection that was made first takes as many as it can, so that the others
// may become idle.
func (e *Endpoint) stream(ctx context.Context, t Timeouts) (*Conn, error) {
	for {
		e.mu.Lock()
		if h := e.roomy(); h != nil {
			h.streams++
			e.mu.Unlock()
			return e.newStream(h, true), nil
		}
		d := e.dialing
		mine := d == nil
		if mine {
			d = &dialing{over: make(chan struct{})}
			e.dialing = d
		}
		e.mu.Unlock()
		if mine {
			h, err := e.dialH2(ctx, t)
			return e.dialed(d, h, err)
		}
		select {
		case <-d.over:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if d.err != nil {
			return nil, d.err
		}
	}
}

// forgetH2 forgets the connections that have ended. The caller holds mu.
func (e *Endpoint) forgetH2() {
	e.h2 = slices.DeleteFunc(e.h2, func(h *h2conn) bool {
		return h.streams == 0 && !h.cc.CanTakeNewRequest()
	})
}

// roomy returns a connection that takes another stream, or nil. The caller
// holds mu.
func (e *Endpoint) roomy() *h2conn {
	e.forgetH2()
	for _, h := range e.h2 {
		if h.streams < h.most && h.cc.CanTakeNewRequest() {
			return h
		}
	}
	return nil
}

// dialH2 makes an HTTP/2 connection. The first round trip shows that the
// endpoint speaks it, and how many streams it wants.
func (e *Endpoint) dialH2(ctx context.Context, t Timeouts) (*h2conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Dial)
	defer cancel()
	b, err := e.dial(ctx, t, nil)
	if err != nil {
		return nil, err
	}
	transport := &http2.Transport{ //nolint:staticcheck // see client
		DisableCompression: true,
		IdleConnTimeout:    t.Idle,
		ReadIdleTimeout:    pingAfter,
		PingTimeout:        pingWait,
	}
	cc, err := transport.NewClientConn(b.Conn) //nolint:staticcheck // see client
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("http2: %w", err)
	}
	if err := cc.Ping(ctx); err != nil {
		_ = cc.Close()
		return nil, fmt.Errorf("http2: the endpoint does not speak it: %w", err)
	}
	return &h2conn{cc: cc, most: max(1, int(cc.State().MaxConcurrentStreams))}, nil
}

// dialed ends d and returns the first stream of h.
func (e *Endpoint) dialed(d *dialing, h *h2conn, err error) (*Conn, error) {
	e.mu.Lock()
	if err == nil {
		h.streams = 1
		e.h2 = append(e.h2, h)
	}
	e.dialing, d.err = nil, err
	e.mu.Unlock()
	close(d.over)
	if err != nil {
		return nil, err
	}
	e.pool.kept()
	return e.newStream(h, false), nil
}

func (e *Endpoint) newStream(h *h2conn, reused bool) *Conn {
	return &Conn{ep: e, reused: reused, stream: &stream{h2conn: h}}
}

// end gives a stream back. The last one of an endpoint that was removed takes
// the connection along.
func (s *stream) end(e *Endpoint) {
	s.stop()
	e.mu.Lock()
	s.streams--
	last := e.removed && s.streams == 0
	e.mu.Unlock()
	if last {
		_ = s.cc.Close()
	}
}

// closeIdleH2 closes the connections without a stream.
func (e *Endpoint) closeIdleH2() {
	e.mu.Lock()
	var idle []*h2conn
	e.h2 = slices.DeleteFunc(e.h2, func(h *h2conn) bool {
		if h.streams == 0 {
			idle = append(idle, h)
		}
		return h.streams == 0
	})
	e.mu.Unlock()
	for _, h := range idle {
		_ = h.cc.Close()
	}
}

// RoundTrip sends a request over a connection for which HTTP2 says true, once.
// It ends with the request's context, with Interrupt and with Release,
// whichever comes first.
func (b *Conn) RoundTrip(r *http.Request) (*http.Response, error) {
	b.sending = 1
	return b.stream.cc.RoundTrip(r.WithContext(b.stream.begin(r.Context())))
}

// HTTP2 reports whether the connection is a stream of an HTTP/2 connection,
// which carries a request by RoundTrip. Then there is no Conn and no TCP.
func (b *Conn) HTTP2() bool { return b.stream != nil }

// unsent are errors of the HTTP/2 client that say that the endpoint saw no
// stream. Its package does not export them.
var unsent = []string{
	"http2: client conn not usable",
	"http2: client conn could not be established",
	"http2: client conn is closed",
	"http2: Transport received Server's graceful shutdown GOAWAY",
}

// refused reports whether err says that the endpoint has not begun to process
// the stream (RFC 9113, section 8.7).
func refused(err error) bool {
	var reset http2.StreamError
	if errors.As(err, &reset) {
		return reset.Code == http2.ErrCodeRefusedStream
	}
	return slices.Contains(unsent, err.Error())
}
