package proxy

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/proxyproto"
)

// introduce reads the header of the PROXY protocol that a trusted peer begins
// with where the entrypoint wants one, and takes its word for who the client
// is. Everybody else is a client. It reports whether the connection may go on.
func (c *conn) introduce() bool {
	if !c.s.entry.ProxyProtocol || !c.trusted {
		return true
	}
	err := c.readIntroduction()
	if err != nil && !errors.Is(err, errEnded) {
		c.p.refused.header.Add(1)
		if c.p.refused.headerLog.speak(c.p.clock.now()) {
			c.p.log.Warn("PROXY header refused; further ones within a minute are only counted",
				"entrypoint", c.s.entry.Name, "peer", c.peer, "err", err)
		}
	}
	return err == nil
}

// errTorn says that the header did not come to its end.
var errTorn = errors.New("PROXY header is incomplete")

func (c *conn) readIntroduction() error {
	if !c.arm(c.bounds.Timeouts.Head) {
		return errEnded
	}
	for {
		h, n, err := proxyproto.Parse(c.in.bytes())
		if err != nil {
			return err
		}
		if n > 0 {
			c.in.r += n
			if h.Source.IsValid() {
				c.introduced = h
				c.identify(h.Source)
			}
			return nil
		}
		if err := c.in.fill(c.raw, proxyproto.Longest); err != nil {
			if c.in.len() == 0 && c.deadline.cut() == 0 {
				return errEnded // somebody who looks whether the port is open
			}
			return errTorn
		}
	}
}

// startTLS lays TLS over the connection where the entrypoint speaks it.
func (c *conn) startTLS() {
	raw := c.raw
	if c.s.entry.TLS != nil && c.in.len() > 0 {
		raw = &resumed{Conn: raw, first: bytes.Clone(c.in.bytes())}
		c.in.clear()
	}
	c.rw, c.tls = c.s.secure(raw)
}

// A resumed connection yields first what has been read of it.
type resumed struct {
	net.Conn
	first []byte
}

// Read reads what was read already, and then the connection.
func (r *resumed) Read(p []byte) (int, error) {
	if len(r.first) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.first)
	r.first = r.first[n:]
	return n, nil
}

// refused counts the connections that were closed without an answer.
type refused struct {
	header    atomic.Uint64 // no PROXY header, or a wrong one
	headerLog muzzle
	source    atomic.Uint64 // its source had enough
	sourceLog muzzle
}

// A muzzle lets one of many complaints through a minute.
type muzzle struct{ next atomic.Int64 }

// speak reports whether a complaint at a time may be heard.
func (m *muzzle) speak(now int64) bool {
	next := m.next.Load()
	return now >= next && m.next.CompareAndSwap(next, now+int64(time.Minute))
}
