package proxy

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/portico-lb/portico/l7/backend"
)

// tunnel relays the switch of protocols, and then bytes both ways until both
// sides have ended or one has broken (RFC 9110, section 7.8). No deadline
// runs: a websocket may be silent for days, and TCP keep-alive finds a peer
// that is gone.
func (c *conn) tunnel(x *exchange, b *backend.Conn) verdict {
	head := x.in.r
	x.in.r += x.resp.Size
	x.resp.KeepUpgrade()
	start := x.editHead(head, "Connection: Upgrade\r\n")
	c.responded(x, x.resp.Status)
	x.tunnel = true
	// What the endpoint said right behind its head goes along.
	_, err := c.rw.Write(x.in.b[start:x.in.w])
	if err == nil && c.open() {
		c.stats.tunnels.Add(1)
		c.pump(b)
		c.stats.tunnels.Add(-1)
	}
	c.release(b, false)
	return closes
}

// pump carries bytes both ways.
func (c *conn) pump(b *backend.Conn) {
	var up sync.WaitGroup
	broken := func() {
		c.raw.SetDeadline(past())
		b.Interrupt()
	}
	up.Go(func() {
		// The client may have spoken before it knew.
		_, err := b.Write(c.in.bytes())
		if err != nil || carry(b.Conn, c.rw) != nil {
			broken()
		}
	})
	if carry(c.rw, b.Conn) != nil {
		broken()
		c.torn = true
	}
	up.Wait()
}

// carry copies from src until it ends, and then ends dst's half. A tunnel
// starts with a small buffer, for there may be many that are silent, and gets
// a large one when it is busy.
func carry(dst, src net.Conn) error {
	buf := getSmall()
	defer func() {
		putSmall(buf)
		putLarge(buf)
	}()
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if half, ok := dst.(interface{ CloseWrite() error }); ok {
				return half.CloseWrite()
			}
			return nil
		case err != nil:
			return err
		case n == smallSize && len(buf) == smallSize:
			putSmall(buf)
			buf = getLarge()
		}
	}
}
