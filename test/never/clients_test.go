package never

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
)

// An order is a request that is sent over and over.
type order struct {
	kind    string // for the tally
	host    string
	path    string
	methods []string // in turn
	size    int      // of the body
	chunked bool
	slowly  time.Duration // that the body takes
	secure  bool
}

// answer is what came back.
type answer struct {
	pod  string
	last bool // the connection ends
}

// body returns the order's body, and what the Pod says that it got.
func (o order) body() (data []byte, sum string) {
	data = make([]byte, o.size)
	rand.Read(data)
	return data, fmt.Sprintf("%d %x", o.size, sha256.Sum256(data))
}

// check says what is wrong with a response.
func check(resp *http.Response, method, sum string) (answer, error) {
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return answer{}, fmt.Errorf("body of %s: %w", resp.Status, err)
	}
	if resp.StatusCode != http.StatusOK || string(got) != method+" "+sum {
		return answer{}, fmt.Errorf("%s %s: %s %q", method, resp.Request.URL.Path, resp.Status, got)
	}
	return answer{pod: resp.Header.Get("X-Pod"), last: resp.Close}, nil
}

// A line is a client's connection that speaks HTTP/1.1, and repeats nothing.
type line struct {
	net.Conn
	r *bufio.Reader
}

// dial connects to the proxy. From here on nothing may fail.
func (s *site) dial(ctx context.Context, o order) (*line, error) {
	address := podlessAddress + ":80"
	if o.secure {
		address = podlessAddress + ":443"
	}
	c, err := s.node.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if o.secure {
		c = tls.Client(c, clientTLS(o.host, "http/1.1"))
	}
	return &line{Conn: c, r: bufio.NewReader(c)}, nil
}

// podlessAddress is where the proxy is found.
const podlessAddress = "127.0.0.1"

func clientTLS(host string, protocols ...string) *tls.Config {
	return &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: protocols}
}

// ask sends a request and reads its answer.
func (l *line) ask(o order, method string) (answer, error) {
	if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	data, sum := o.body()
	req, err := http.NewRequest(method, "http://"+o.host+o.path, bytes.NewReader(data))
	if err != nil {
		return answer{}, err
	}
	if o.chunked {
		req.ContentLength = -1
	}
	if o.slowly > 0 {
		req.Body = &slowBody{data: data, pause: o.slowly * slowPart / time.Duration(o.size)}
	}
	if err := req.Write(l); err != nil {
		return answer{}, fmt.Errorf("send: %w", err)
	}
	resp, err := http.ReadResponse(l.r, req)
	if err != nil {
		return answer{}, fmt.Errorf("no response: %w", err)
	}
	return check(resp, method, sum)
}

// A slowBody comes in parts with a pause before each.
type slowBody struct {
	data  []byte
	pause time.Duration
}

const slowPart = 16 << 10

func (b *slowBody) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	<-time.After(b.pause)
	n := copy(p, b.data[:min(len(b.data), slowPart)])
	b.data = b.data[n:]
	return n, nil
}

func (b *slowBody) Close() error { return nil }

// keep sends an order over one connection for as long as the proxy keeps it.
func (s *site) keep(ctx context.Context, o order) {
	var l *line
	for n := 0; ctx.Err() == nil; n++ {
		began, err := time.Now(), error(nil)
		if l == nil {
			l, err = s.dial(ctx, o)
		}
		var a answer
		if err == nil {
			a, err = l.ask(o, o.methods[n%len(o.methods)])
		}
		if ctx.Err() == nil || err == nil {
			s.tally.count(o.kind, began, err)
		}
		if l != nil && (err != nil || a.last) {
			l.Close()
			l = nil
		}
	}
	if l != nil {
		l.Close()
	}
}

// knock sends an order over a new connection each time.
func (s *site) knock(ctx context.Context, o order) {
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		l, err := s.dial(ctx, o)
		if err == nil {
			_, err = l.ask(o, o.methods[n%len(o.methods)])
			l.Close()
		}
		if ctx.Err() == nil || err == nil {
			s.tally.count(o.kind, began, err)
		}
	}
}

// An h2client repeats nothing by itself, as net/http's would.
type h2client = *http2.ClientConn //nolint:staticcheck // see above

// A stem is an HTTP/2 connection that several clients share.
type stem struct {
	s      *site
	host   string
	secure bool

	mu sync.Mutex
	cc h2client
}

// conn returns a connection that takes another stream.
func (m *stem) conn(ctx context.Context) (h2client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cc != nil && m.cc.CanTakeNewRequest() {
		return m.cc, nil
	}
	address := podlessAddress + ":80"
	if m.secure {
		address = podlessAddress + ":443"
	}
	c, err := m.s.node.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if m.secure {
		t := tls.Client(c, clientTLS(m.host, "h2"))
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		c = t
	}
	m.cc, err = (&http2.Transport{AllowHTTP: true, DisableCompression: true}).NewClientConn(c) //nolint:staticcheck // see h2client
	return m.cc, err
}

func (m *stem) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cc != nil {
		m.cc.Close()
	}
}

// streams sends an order over shared connections of HTTP/2.
func (s *site) streams(ctx context.Context, m *stem, o order) {
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		err := m.ask(o, o.methods[n%len(o.methods)])
		if notBegun(err) {
			s.tally.move()
			continue
		}
		if ctx.Err() == nil || err == nil {
			s.tally.count(o.kind, began, err)
		}
	}
}

func (m *stem) ask(o order, method string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	data, sum := o.body()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+o.host+o.path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	cc, err := m.conn(ctx)
	if err != nil {
		return err
	}
	resp, err := cc.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = check(resp, method, sum)
	return err
}

// notBegun reports whether the peer said that it has not begun with a stream,
// so that it is for the client to send it again (RFC 9113, section 8.7).
func notBegun(err error) bool {
	if err == nil {
		return false
	}
	var reset http2.StreamError
	if errors.As(err, &reset) {
		return reset.Code == http2.ErrCodeRefusedStream
	}
	return slices.Contains([]string{
		"http2: client conn not usable",
		"http2: Transport received Server's graceful shutdown GOAWAY",
	}, err.Error())
}

// talk keeps a websocket busy until ctx ends: it must not break.
func (s *site) talk(ctx context.Context, o order) {
	for ctx.Err() == nil {
		began := time.Now()
		if err := s.converse(ctx, o); ctx.Err() == nil {
			s.tally.count(o.kind, began, fmt.Errorf("broke after %v: %w", time.Since(began).Round(time.Millisecond), err))
		}
	}
}

// converse ends with the websocket.
func (s *site) converse(ctx context.Context, o order) error {
	l, err := s.dial(ctx, o)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext:    func(context.Context, string, string) (net.Conn, error) { return l, nil },
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return l, nil },
	}}
	c, _, err := websocket.Dial(ctx, "http://"+o.host+o.path, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		began := time.Now()
		said := strings.Repeat(began.String(), 1+began.Nanosecond()%50)
		if err := c.Write(ctx, websocket.MessageText, []byte(said)); err != nil {
			return err
		}
		_, heard, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if string(heard) != said {
			return errors.New("another message came back")
		}
		s.tally.count(o.kind, began, nil)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// serial returns the number of the certificate that a new connection is shown.
func (s *site) serialShown(ctx context.Context, host string) (*big.Int, error) {
	c, err := s.node.DialContext(ctx, "tcp", podlessAddress+":443")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	t := tls.Client(c, clientTLS(host, "http/1.1"))
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return t.ConnectionState().PeerCertificates[0].SerialNumber, nil
}

// A crowd is clients of every kind at full load.
type crowd struct {
	group sync.WaitGroup
	end   context.CancelFunc
	stems []*stem
}

// mortal says that websockets may end, and only take the time of a drain.
const mortal = true

// attend lets the clients begin.
func (s *site) attend(parent context.Context, mortal bool) *crowd {
	ctx, end := context.WithCancel(parent)
	c := &crowd{end: end}
	all, safe := []string{"GET", "POST", "PUT", "DELETE"}, []string{"GET", "PUT", "DELETE"}
	do := func(n int, f func(context.Context, order), o order) {
		for range n {
			c.group.Go(func() { f(ctx, o) })
		}
	}
	do(2, s.keep, order{kind: "kept, polite", host: "polite.test", path: "/", methods: all})
	do(1, s.keep, order{kind: "kept, slow answers", host: "polite.test", path: "/slow", methods: all})
	do(2, s.keep, order{kind: "kept, rude", host: "rude.test", path: "/", methods: safe, size: 100})
	do(2, s.keep, order{kind: "kept, odd", host: "odd.test", path: "/", methods: safe, size: 10})
	do(1, s.keep, order{kind: "kept, odd, TLS", host: "odd.test", path: "/", methods: safe, secure: true})
	do(1, s.keep, order{kind: "kept, routes", host: "flip.test", path: "/", methods: all})
	do(1, s.knock, order{kind: "new, polite", host: "polite.test", path: "/", methods: all, size: 1000})
	do(1, s.knock, order{kind: "new, odd", host: "odd.test", path: "/", methods: safe})
	do(1, s.knock, order{kind: "new, TLS", host: "rude.test", path: "/", methods: safe, secure: true})
	do(2, s.keep, order{kind: "upload", host: "polite.test", path: "/", methods: []string{"POST"}, size: 1 << 20})
	do(1, s.keep, order{kind: "upload, slow", host: "polite.test", path: "/", methods: []string{"POST"}, size: 1 << 18, slowly: time.Second, chunked: true})
	do(1, s.keep, order{kind: "upload, odd", host: "odd.test", path: "/", methods: []string{"POST"}, size: 1 << 18, chunked: true})
	talk := s.talk
	if mortal {
		talk = func(ctx context.Context, o order) {
			for ctx.Err() == nil {
				_ = s.converse(ctx, o) // it may end
			}
		}
	}
	do(3, talk, order{kind: "websocket", host: "chat.test", path: "/socket"})
	do(1, talk, order{kind: "websocket, TLS", host: "chat.test", path: "/socket", secure: true})
	for _, secure := range []bool{true, false} {
		m := &stem{s: s, host: "polite.test", secure: secure}
		c.stems = append(c.stems, m)
		branch := func(ctx context.Context, o order) { s.streams(ctx, m, o) }
		do(2, branch, order{kind: "HTTP/2, polite", host: "polite.test", path: "/", methods: all, size: 100})
		if !secure { // one certificate for all: a connection must ask for its own host
			do(1, branch, order{kind: "HTTP/2, odd", host: "odd.test", path: "/", methods: safe, size: 10})
			do(1, branch, order{kind: "HTTP/2, upload", host: "polite.test", path: "/", methods: []string{"POST"}, size: 1 << 18})
		}
	}
	return c
}

// leave ends the clients.
func (c *crowd) leave() {
	c.end()
	c.group.Wait()
	for _, m := range c.stems {
		m.close()
	}
}
