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
	x.carried.down = int64(x.in.len())
	_, err := c.rw.Write(x.in.b[start:x.in.w])
	if err == nil && c.open() {
		c.stats.tunnels.Add(1)
		c.pump(b, &x.carried)
		c.stats.tunnels.Add(-1)
	}
	c.release(b, false)
	return closes
}

// carried is how many bytes a tunnel has passed on, from the client and to it.
type carried struct{ up, down int64 }

// pump carries bytes both ways.
func (c *conn) pump(b *backend.Conn, count *carried) {
	var up sync.WaitGroup
	broken := func() {
		c.raw.SetDeadline(past())
		b.Interrupt()
	}
	up.Go(func() {
		// The client may have spoken before it knew.
		n, err := b.Write(c.in.bytes())
		count.up = int64(n)
		if err != nil || carry(b.Conn, c.rw, &count.up) != nil {
			broken()
		}
	})
	if carry(c.rw, b.Conn, &count.down) != nil {
		broken()
		c.torn = true
	}
	up.Wait()
}

// carry copies from src until it ends, adding to count, and then ends dst's
// half. A tunnel starts with a small buffer, for there may be many that are
// silent, and gets a large one when it is busy.
func carry(dst, src net.Conn, count *int64) error {
	buf := getSmall()
	defer func() {
		putSmall(buf)
		putLarge(buf)
	}()
	for {
		n, err := src.Read(buf)
		if n > 0 {
			written, err := dst.Write(buf[:n])
			if *count += int64(written); err != nil {
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
