package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime/debug"
	"time"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/socket"
)

// A conn is one client connection. One goroutine serves it; the sweeper and
// the drain reach in through its leash.
type conn struct {
	leash
	raw  net.Conn     // as accepted
	rw   net.Conn     // raw, or the TLS connection over it
	tls  *tls.Conn    // nil without TLS
	tcp  *socket.Conn // raw, where nothing lies over it: it can be spliced
	sock *socket.Conn // raw, where it is of TCP

	in       buffer
	requests int  // that have been read
	torn     bool // the last response broke off
}

func newConn(s *server, raw net.Conn) *conn {
	c := &conn{raw: raw, rw: raw}
	c.leash.client, c.side = newClient(s, raw), c
	c.sock, _ = raw.(*socket.Conn)
	if s.entry.TLS == nil {
		c.tcp = c.sock
	}
	return c
}

// serve answers the connection's requests until one side has enough.
func (c *conn) serve() {
	c.stats.connections.Add(1)
	c.in.b = getSmall()
	defer func() {
		if v := recover(); v != nil {
			c.p.log.Error("connection ended by a fault of the engine", "entrypoint", c.s.entry.Name,
				"fault", v, "stack", string(debug.Stack()))
			c.abandon()
		}
		if c.tls != nil && !c.torn {
			c.tls.CloseWrite() // says that nothing was cut off
		}
		if c.sock != nil && !c.torn {
			c.sock.End()
		} else {
			c.raw.Close()
		}
		putSmall(c.in.b)
		c.stats.connections.Add(-1)
	}()
	if !c.introduce() || !c.admit() {
		return
	}
	defer c.depart()
	c.startTLS()
	if !c.handshake() {
		return
	}
	if c.speaksHTTP2() {
		c.serveHTTP2()
		return
	}
	for {
		head, err := c.readHead()
		if err != nil {
			c.refuse(nil, err)
			return
		}
		if c.isPreface(head) {
			c.serveHTTP2()
			return
		}
		c.requests++
		if !c.handle(head) {
			return
		}
	}
}

// handshake is TLS's, within the time for a head.
func (c *conn) handshake() bool {
	if c.tls == nil {
		return true
	}
	if !c.arm(c.bounds.Timeouts.Head) {
		return false
	}
	err := c.tls.Handshake()
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && looksLikeHTTP(record.RecordHeader) {
		// In clear, as the client speaks. The browser's user reads it.
		c.rw = c.raw
		c.answer(nil, &middleware.Answer{Status: 400, Reason: "this port speaks HTTPS"}, false)
	}
	if err == nil {
		c.secured(c.tls.ConnectionState)
	}
	return err == nil && c.tls.ConnectionState().NegotiatedProtocol != acmeTLS
}

// acmeTLS is what a CA offers by ALPN that wants to see a certificate. No data
// follows the handshake (RFC 8737, section 3).
const acmeTLS = "acme-tls/1"

// looksLikeHTTP tells a request head's first bytes from a TLS record.
func looksLikeHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}

// errEnded says that a connection ends without a word.
var errEnded = errors.New("connection ended")

// readHead waits for a whole request head and returns it. It stays where it is
// in the buffer until handle consumes it.
func (c *conn) readHead() ([]byte, error) {
	searched, timed := 0, false
	for {
		if searched == 0 {
			c.skipEmptyLine()
		}
		have := c.in.bytes()
		if len(have) > searched {
			if end := http1.HeadEnd(have, searched); end > 0 {
				return have[:end], nil
			}
			if err := http1.Partial(have, searched, c.bounds.Head); err != nil {
				return nil, err
			}
			searched = len(have)
		}
		switch {
		case searched == 0:
			if !c.idle() {
				return nil, errEnded
			}
		case !timed:
			timed = true
			if !c.arm(c.bounds.Timeouts.Head) {
				return nil, errEnded
			}
		}
		if err := c.in.fill(c.rw, c.bounds.Head.Head); err != nil {
			if searched > 0 || !c.reprieve() {
				return nil, c.headError(searched)
			}
		}
	}
}

// skipEmptyLine steps over a line that some clients send behind a body
// (RFC 9112, section 2.2).
func (c *conn) skipEmptyLine() {
	if have := c.in.bytes(); len(have) >= 2 && have[0] == '\r' && have[1] == '\n' {
		c.in.r += 2
	}
}

// headError says what a client is told that did not finish its head.
func (c *conn) headError(have int) error {
	if have > 0 && c.deadline.cut() == cutTimeout {
		return errSlowHead
	}
	return errEnded
}

var errSlowHead = errors.New("request head took too long")

// idle begins the wait for a request. It reports false when the connection
// has to end now.
func (c *conn) idle() bool {
	if len(c.in.b) != smallSize { // grown by the last head
		c.in = buffer{b: getSmall()}
	}
	c.bounds = c.p.bounds.Load()
	if !c.deadline.move(c.until(c.bounds.Timeouts.Idle), idle) {
		return c.reprieve()
	}
	if c.s.draining.Load() && !c.s.patient {
		c.leash.lastCall()
	}
	return true
}

// lastCall is how long after the begin of a drain a request is waited for that
// may be on its way: a round trip, and the one retransmission of a lost packet.
// A socket that is closed in the face of a request is an error to the client.
const lastCall = time.Second

// reprieve lets a connection that was cut while it was idle answer what has
// arrived nevertheless.
func (c *conn) reprieve() bool {
	return c.deadline.cut() != 0 && c.pending() && c.revive(c.bounds.Timeouts.Head)
}

// pending reports whether the kernel holds bytes from the client.
func (c *conn) pending() bool {
	return c.sock != nil && c.sock.Pending()
}

func (c *conn) interrupt() { c.raw.SetDeadline(past()) }
func (c *conn) resume()    { c.raw.SetDeadline(time.Time{}) }

// linger gives the client time to read the last response. Closing a socket
// that holds unread bytes resets the connection, and the reset overtakes or
// discards what was sent (RFC 9112, section 9.6). It is over when the client
// has ended its stream or pauses, and at once with the process: the times are
// the leash's, as all others.
func (c *conn) linger() {
	half, ok := c.rw.(interface{ CloseWrite() error })
	if !ok || !c.revive(c.bounds.Timeouts.Stall) || half.CloseWrite() != nil {
		return
	}
	buf := getLarge()
	defer putLarge(buf)
	for c.limit = c.until(lingerMost); c.arm(lingerPause); {
		// Not through TLS: nobody looks at what is read.
		if _, err := c.raw.Read(buf); err != nil {
			return
		}
	}
}

// How long a client may pause that is not listened to any more, and for how
// long it may go on sending. How much it sends meanwhile does not matter: many
// write a body to its end before they read.
const (
	lingerPause = time.Second
	lingerMost  = 5 * time.Second
)
