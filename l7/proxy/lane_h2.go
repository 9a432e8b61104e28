package proxy

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"sync"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
)

// roundTrip carries the request over b, a stream of HTTP/2, and gives b up or
// back. The head that was composed is taken apart again, so that there is one
// place where it is decided what an endpoint is told; the response is written
// as an HTTP/1.1 head and passes the same parser as all others.
func (l *lane) roundTrip(x *exchange, pl *backend.Pool, b *backend.Conn) verdict {
	l.endpoint.Store(b)
	if !l.wait(x.policy.Timeouts.Response) {
		return l.missed(b)
	}
	x.in.clear()
	hints := hints{l: l, x: x}
	r, up := l.netRequest(x, b)
	trace := &httptrace.ClientTrace{Got1xxResponse: hints.got}
	resp, err := b.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace))) //nolint:bodyclose // by src
	hints.Wait()
	src := &streamSource{l: l, b: b, r: r, resp: resp}
	if err == nil {
		if err = x.writeHead(resp, l.p.limits); err == nil {
			b.Report(backend.OutcomeOf(resp.StatusCode))
			x.mark()
			return l.respond(x, b, up, src)
		}
	}
	up.stop()
	src.close()
	died := resp == nil && l.deadline.cut() == 0
	delivered := b.Delivered(err)
	l.release(b, false)
	switch {
	case hints.unheard:
		return closes // which is not the endpoint's fault
	case died && l.expired(x):
		return expired
	}
	return l.judge(x, pl, b, up, died, delivered)
}

// netRequest makes x's request one of net/http's. up is nil where the whole
// body is here.
func (l *lane) netRequest(x *exchange, b *backend.Conn) (*http.Request, *upload) {
	end := http1.HeadEnd(x.out, 0)
	head, body := x.out[:end], x.out[end:]
	if x.first != nil {
		body = x.first
	}
	var h http1.Request
	_ = h.Parse(head, unlimited(head)) // it was composed here and is well-formed
	r := &http.Request{
		Method:     string(h.MethodName.Of(head)),
		URL:        &url.URL{Scheme: "http", Host: b.Endpoint().Addr().String(), Opaque: string(h.Target.Of(head))},
		Host:       string(h.Host.Of(head)),
		Header:     make(http.Header, len(h.Fields)),
		ProtoMajor: 2,
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Drop || f.Kind == http1.Host || f.Kind == http1.TransferEncoding || f.Kind == http1.ContentLength || f.Kind == http1.Expect {
			continue // what is expected is answered when the body is read
		}
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name.Of(head)))
		r.Header[name] = append(r.Header[name], string(f.Value.Of(head)))
	}
	if h.Field(http1.TE) != nil {
		r.Header["Te"] = []string{"trailers"} // all that compose passes on
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = nil // keeps the client's own out
	}
	switch {
	case h.Framing == http1.None, h.Framing == http1.Length && h.Length == 0:
		return r, nil
	case h.Framing == http1.Length:
		r.ContentLength = h.Length
	default:
		x.up.data = 0 // the front reads it from its begin
		r.ContentLength = -1
		r.Trailer = make(http.Header)
	}
	if h.Framing == http1.Length && x.up.done {
		held := &heldBody{r: bytes.NewReader(body)}
		if x.spool != nil {
			held.r = io.MultiReader(held.r, x.spool.reader())
		}
		r.Body = held
		return r, nil
	}
	u := &streamUpload{l: l, x: x, r: r, whole: x.up.done}
	u.over = make(chan struct{})
	u.interrupt = func() {
		b.Interrupt()
		u.let()
	}
	u.resume = l.resumeReading
	r.Body = u
	return r, &u.upload
}

// A heldBody is a body that is here.
type heldBody struct {
	mu sync.Mutex
	r  io.Reader // nil once it is closed
}

func (h *heldBody) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.r == nil {
		return 0, io.EOF
	}
	return h.r.Read(p)
}

// Close lets go of the body: once it has returned nobody reads it.
func (h *heldBody) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.r = nil
	return nil
}

// writeHead writes r's head to x.in and parses it.
func (x *exchange) writeHead(r *http.Response, lim http1.Limits) error {
	in := intake{out: x.in.b[:x.in.r]}
	in.out = append(strconv.AppendInt(append(in.out, "HTTP/1.1 "...), int64(r.StatusCode), 10), ' ', '\r', '\n')
	for name, values := range r.Header {
		for _, v := range values {
			in.field([]byte(name), []byte(v))
		}
	}
	for name := range r.Trailer { // net/http has taken the announcement out
		in.field([]byte("Trailer"), []byte(name))
	}
	if len(in.out) > x.in.base+lim.Head {
		return http1.ErrHeadLarge
	}
	out, err := in.end(false)
	if err != nil {
		return err
	}
	if x.in.w = len(out); len(out) > len(x.in.b) {
		x.in.b = out
	}
	return x.resp.Parse(x.in.bytes(), x.req.Method, lim)
}

// A streamSource is a response of HTTP/2.
type streamSource struct {
	l    *lane
	b    *backend.Conn
	r    *http.Request
	resp *http.Response // nil where none came
}

// held waits for the end of a body that is known to be empty: calls of gRPC
// that fail at once consist of a head with the end in it, and stay so.
func (s *streamSource) held(x *exchange) ([]byte, error) {
	if s.resp.ContentLength == 0 || x.resp.Framing == http1.None {
		if _, err := io.Copy(io.Discard, s.resp.Body); err != nil {
			return nil, err
		}
		x.down.done = true
	}
	return nil, nil
}

// streamChunk is what a stream that does not pause yields at least.
const streamChunk = 8 << 10

func (s *streamSource) next(x *exchange) ([]byte, error) {
	x.in.clear()
	buf := x.in.b[x.in.r:]
	n, err := s.resp.Body.Read(buf)
	x.down.data += int64(n)
	if err == nil && x.down.framing == http1.Length {
		if x.down.left -= int64(n); x.down.left == 0 && n < len(buf) {
			// The end, which is here as a rule, goes out with the data.
			_, err = s.resp.Body.Read(buf[n:])
		}
	}
	if err == io.EOF {
		x.down.done = true
		err = nil
	}
	return buf[:n], err
}

// pauses guesses: what is here fills the room, as a rule.
func (s *streamSource) pauses(data []byte) bool { return len(data) < streamChunk }

func (s *streamSource) trailers(*exchange) []field { return appendHeader(nil, s.resp.Trailer) }

func (s *streamSource) release(_ *exchange, fit bool) {
	s.close()
	s.l.release(s.b, fit)
}

// close ends what the client of HTTP/2 may still do: once it has returned,
// nothing of the exchange is used.
func (s *streamSource) close() {
	if s.resp != nil {
		s.resp.Body.Close()
	}
	if s.r.Body != nil {
		s.r.Body.Close()
	}
}

// A streamUpload is a request's body as the client of HTTP/2 reads it. It may
// be closed from any goroutine, and after all else is over.
type streamUpload struct {
	upload
	l     *lane
	x     *exchange
	r     *http.Request
	whole bool // the body is here, and can be read again

	read  sync.Mutex // held while reading
	state sync.Mutex // guards the following
	// busy is whether a read is under way, closed whether none may begin.
	busy, closed bool
	ended        bool // over is closed: the front is not to be touched
}

// enter begins a read, and reports whether there can be one.
func (u *streamUpload) enter() bool {
	u.state.Lock()
	defer u.state.Unlock()
	u.busy = !u.closed && !u.ended
	return u.busy
}

func (u *streamUpload) Read(p []byte) (int, error) {
	u.read.Lock()
	defer u.read.Unlock()
	if !u.enter() {
		if u.finished() {
			return 0, io.EOF
		}
		return 0, errEnded
	}
	n, err := u.take(p)
	u.state.Lock()
	defer u.state.Unlock()
	u.busy = false
	return n, err
}

// take reads from the front.
func (u *streamUpload) take(p []byte) (int, error) {
	if u.x.req.Expect {
		u.x.req.Expect = false
		if err := u.l.front.interim(http.StatusContinue, nil); err != nil {
			return 0, u.fail(failedClient)
		}
	}
	if !u.l.await(u.x, u.answered.Load()) {
		return 0, u.fail(failedClient)
	}
	n, err := u.l.front.read(p)
	u.x.pace.end(u.l.p.clock.now(), n)
	if n > 0 && !u.whole {
		if !u.consumed.Swap(true) {
			u.x.replica.restart()
		}
		u.x.replica.add(p[:n], false)
	}
	switch {
	case u.x.up.framing == http1.Chunked && u.x.up.count(n) != nil:
		return 0, u.fail(failedLarge)
	case err == io.EOF: //nolint:errorlint // as a reader gives it
		for _, t := range u.l.front.trailers() {
			u.r.Trailer.Add(string(t.Name), string(t.Value))
		}
		if !u.l.wait(u.x.policy.Timeouts.Response) {
			return n, u.fail(failedClient)
		}
		u.end(failedNot)
	case err != nil:
		return n, u.fail(u.unless(failureOf(err)))
	}
	return n, err
}

// fail ends the upload, and is the error that makes the stream be reset.
func (u *streamUpload) fail(f failure) error {
	u.end(f)
	return errEnded
}

// end ends the upload; one that was closed failed for that reason.
func (u *streamUpload) end(f failure) {
	u.state.Lock()
	defer u.state.Unlock()
	if u.ended {
		return
	}
	if u.closed && f != failedNot {
		f = failedBackend
	}
	u.ended = true
	u.failed, u.complete = f, f == failedNot
	u.x.up.done = u.x.up.done || u.complete
	close(u.over)
}

// Close ends the upload. Once it has returned nothing is read any more.
func (u *streamUpload) Close() error {
	u.let()
	return nil
}

// let lets go of the body. While a read is under way the upload has not ended,
// and so long the front is there.
func (u *streamUpload) let() {
	u.state.Lock()
	if u.closed = true; u.busy && !u.ended {
		u.l.front.stopReading()
	}
	u.state.Unlock()
	u.read.Lock()
	defer u.read.Unlock()
	u.end(failedBackend)
}

// hints passes interim responses on. They come from the goroutine that reads
// for all streams of the endpoint, which must not wait for a client.
type hints struct {
	l *lane
	x *exchange
	sync.WaitGroup
	mu    sync.Mutex
	queue []hint
	// unheard is whether the client did not take one, once all have been sent.
	unheard bool
}

type hint struct {
	status int
	fields []field
}

func (h *hints) got(status int, header textproto.MIMEHeader) error {
	if status == http.StatusContinue {
		return nil // the client has been told when the body was read
	}
	fields := appendHeader(nil, http.Header(header))
	for i := range fields {
		if concernsConnection(fields[i].Name) || !fits(fields[i].Value) || bytes.IndexByte(fields[i].Name, ':') >= 0 {
			return nil
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(h.queue, hint{status, fields})
	if len(h.queue) == 1 {
		h.Go(h.send)
	}
	return nil
}

func (h *hints) send() {
	for {
		h.mu.Lock()
		first := h.queue[0]
		h.mu.Unlock()
		if h.l.interim(h.x, first.status, first.fields) != nil {
			h.unheard = true
			return // the queue stays: nothing more is sent
		}
		h.mu.Lock()
		h.queue = h.queue[1:]
		more := len(h.queue) > 0
		h.mu.Unlock()
		if !more {
			return
		}
	}
}
