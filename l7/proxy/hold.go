package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/http1"
)

// holdMost is how much of a body is held in memory, what is above it in a file
// without a name.
const holdMost = 1 << 20

// hold reads the rest of x's body from f before an endpoint gets anything of
// it: no endpoint waits for the client then, and what has failed can go to
// another one. The body has a length from here on, and no trailers.
func (l *leash) hold(x *exchange, f front) verdict {
	if x.req.Expect {
		x.req.Expect = false
		if f.interim(http.StatusContinue, nil) != nil {
			return closes
		}
	}
	buf := getLarge()
	defer putLarge(buf)
	x.whole = x.whole[:0]
	var size int64
	for {
		if !l.await(x, false) {
			return closes
		}
		n, err := f.read(buf)
		x.pace.end(l.p.clock.now(), n)
		if size += int64(n); x.up.most > 0 && size > x.up.most {
			return oversize
		}
		if x.keep(buf[:n]) != nil {
			l.p.log.Error("request body cannot be held: free space in the folder for temporary files", "folder", os.TempDir())
			return unheld
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF) && (x.req.Framing != http1.Length || size == x.req.Length):
			x.held(size)
			return served
		case failureOf(err) == failedChunk:
			return garbled
		}
		return slow
	}
}

// keep takes what comes next of a body that is held.
func (x *exchange) keep(p []byte) error {
	if x.spool == nil && len(x.whole)+len(p) <= holdMost {
		x.whole = append(x.whole, p...)
		return nil
	}
	if x.spool == nil {
		file, err := os.CreateTemp("", "portico-body-*")
		if err != nil {
			return err
		}
		x.spool = &spool{file: file}
		if err := os.Remove(file.Name()); err != nil {
			return err
		}
	}
	n, err := x.spool.file.Write(p)
	x.spool.size += int64(n)
	return err
}

// held makes x's body one of a length that is here.
func (x *exchange) held(size int64) {
	x.first, x.up.done, x.req.Length = x.whole, true, size
	x.pass.own = slices.DeleteFunc(x.pass.own, func(line string) bool {
		name, _, _ := strings.Cut(line, ":")
		return strings.EqualFold(name, "transfer-encoding") || strings.EqualFold(name, "content-length") ||
			strings.EqualFold(name, "trailer") || strings.EqualFold(name, "expect")
	})
	x.pass.own = append(x.pass.own, "Content-Length: "+strconv.FormatInt(size, 10))
}

// A spool is what of a held body did not fit into memory. It stands behind the
// exchange's first.
type spool struct {
	file *os.File
	size int64
}

// reader reads it from its begin.
func (s *spool) reader() io.Reader { return io.NewSectionReader(s.file, 0, s.size) }

func (s *spool) close() {
	if s != nil {
		s.file.Close()
	}
}

// upload carries s to b, which speaks HTTP/1.1, while the response may begin.
func (s *spool) upload(l *leash, x *exchange, b *backend.Conn) *upload {
	u := &upload{held: true, interrupt: func() { b.Close() }, resume: func() {}}
	u.start(&l.s.group, func() failure {
		buf := getLarge()
		defer putLarge(buf)
		for r := s.reader(); ; {
			n, err := r.Read(buf)
			if errors.Is(err, io.EOF) {
				return failedNot
			}
			if err != nil || !l.arm(x.policy.Timeouts.Response) {
				b.Close() // a torn body shall not be taken for a whole one
				return failedBackend
			}
			if _, err := b.Write(buf[:n]); err != nil {
				return failedBackend
			}
			b.Sent(int64(n))
		}
	}, func() { b.Close() })
	return u
}
