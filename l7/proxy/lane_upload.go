package proxy

import (
	"errors"
	"io"
	"strconv"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
)

// startUpload begins to carry what of x's body is not here yet to b, which
// speaks HTTP/1.1.
func (l *lane) startUpload(x *exchange, b *backend.Conn) *upload {
	u := &laneUpload{l: l, x: x, b: b}
	u.interrupt = func() {
		l.front.stopReading()
		b.Close()
	}
	u.resume = l.resumeReading
	u.start(&l.s.group, u.run, func() { b.Close() })
	return &u.upload
}

// resumeReading takes back an interruption of reads that was no cut: another
// attempt may read the body.
func (l *lane) resumeReading() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deadline.cut() == 0 {
		l.front.resumeReading()
	}
}

// A laneUpload is an upload from a front to a connection of HTTP/1.1.
type laneUpload struct {
	upload
	l *lane
	x *exchange
	b *backend.Conn
}

// Room for what surrounds a chunk's data: a size of up to four digits, which
// is more than a buffer holds, and line ends.
const (
	chunkBefore = 6
	chunkBehind = 2
)

func (u *laneUpload) run() failure {
	buf := getLarge()
	defer putLarge(buf)
	for d := &u.x.up; !d.done; {
		if !u.l.await(u.x, u.answered.Load()) {
			return failedClient
		}
		n, err := u.l.front.read(buf[chunkBefore : len(buf)-chunkBehind])
		u.x.pace.end(u.l.p.clock.now(), n)
		if n > 0 {
			if !u.consumed.Swap(true) {
				u.x.replica.restart()
			}
			if f := u.pass(d, buf, n); f != failedNot {
				return f
			}
		}
		switch {
		case err == nil || d.done:
		case !errors.Is(err, io.EOF):
			return u.unless(failedClient)
		default:
			if f := u.end(d); f != failedNot {
				return f
			}
		}
	}
	if !u.l.wait(u.x.policy.Timeouts.Response) {
		return failedClient
	}
	return failedNot
}

// pass writes n bytes of data, which lie in buf behind the room for a chunk's
// size.
func (u *laneUpload) pass(d *body, buf []byte, n int) failure {
	data := buf[chunkBefore : chunkBefore+n]
	u.x.replica.add(data, false)
	if d.framing == http1.Length {
		if int64(n) > d.left {
			return failedChunk
		}
		d.advance(int64(n))
		u.last.Store(d.done)
		return u.write(data)
	}
	if d.count(n) != nil {
		return failedLarge
	}
	var size [chunkBefore]byte
	line := append(strconv.AppendUint(size[:0], uint64(n), 16), '\r', '\n')
	from := chunkBefore - copy(buf[chunkBefore-len(line):], line)
	copy(buf[chunkBefore+n:], "\r\n")
	return u.write(buf[from : chunkBefore+n+chunkBehind])
}

// end writes what ends a body that is not known by its length.
func (u *laneUpload) end(d *body) failure {
	if d.framing == http1.Length {
		return failedClient // less than was announced
	}
	d.done = true
	u.last.Store(true)
	out := []byte("0\r\n")
	for _, f := range u.l.front.trailers() {
		if !fits(f.Name) || !fits(f.Value) {
			return failedChunk
		}
		out = appendLine(out, f.Name, f.Value)
	}
	out = append(out, '\r', '\n')
	// The parser's rules for trailers hold for those of every version.
	var check http1.ChunkReader
	if _, _, err := check.Strip(out); err != nil {
		return failedChunk
	}
	return u.write(out)
}

func (u *laneUpload) write(p []byte) failure {
	if _, err := u.b.Write(p); err != nil {
		return failedBackend
	}
	u.b.Sent(int64(len(p)))
	return failedNot
}
