package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
)

// tunnel answers a client that asked for a websocket over a stream (RFC 8441),
// whose endpoint has switched, and carries bytes both ways until both sides
// have ended or one has broken. Who is silent is not disturbed; the
// connections are watched by the means of their own protocols.
func (l *lane) tunnel(x *exchange, b *backend.Conn) verdict {
	head := x.in.bytes()[:x.resp.Size]
	x.in.r += x.resp.Size
	x.takeFields(head)
	// What it answers was asked by us.
	x.fields = slices.DeleteFunc(x.fields, func(f field) bool { return http1.Fold(f.Name, "sec-websocket-accept") })
	l.begun.Store(true)
	l.responded(x, x.resp.Status)
	x.tunnel = true
	x.carried.down = int64(x.in.len())
	err := l.front.respond(http.StatusOK, x.fields, false, false)
	if err == nil && x.in.len() > 0 {
		err = l.front.write(x.in.bytes())
	}
	if err == nil {
		err = l.front.flush()
	}
	if err == nil && l.open() {
		l.stats.tunnels.Add(1)
		l.pump(b, &x.carried)
		l.stats.tunnels.Add(-1)
	}
	l.release(b, false)
	return closes
}

// pump carries bytes both ways.
func (l *lane) pump(b *backend.Conn, count *carried) {
	broken := func() {
		l.front.abort()
		l.front.stopReading()
		b.Interrupt()
	}
	var up sync.WaitGroup
	up.Go(func() {
		if l.pumpUp(b, &count.up) != nil {
			broken()
		}
	})
	if l.pumpDown(b, &count.down) != nil {
		broken()
	}
	up.Wait()
}

func (l *lane) pumpUp(b *backend.Conn, count *int64) error {
	buf := getSmall()
	defer putSmall(buf)
	for {
		n, err := l.front.read(buf)
		if n > 0 {
			written, err := b.Write(buf[:n])
			if *count += int64(written); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if half, ok := b.Conn.(interface{ CloseWrite() error }); ok {
				return half.CloseWrite()
			}
			return nil
		case err != nil:
			return err
		}
	}
}

func (l *lane) pumpDown(b *backend.Conn, count *int64) error {
	buf := getSmall()
	defer putSmall(buf)
	for {
		n, err := b.Read(buf)
		if n > 0 {
			if err := l.front.write(buf[:n]); err != nil {
				return err
			}
			*count += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return l.front.finish(nil, nil)
		case err != nil:
			return err
		}
	}
}
