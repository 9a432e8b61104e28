package proxy

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portico-lb/portico/l7/http1"
)

// takeIn writes a request of three fields as a front does, and parses it.
func takeIn(method, path, authority, name, value []byte, body bool) (head []byte, r http1.Request, err error) {
	in := intake{}
	in.line(method, path, authority)
	in.field([]byte("first"), []byte("1"))
	in.field(name, value)
	in.field([]byte("last"), []byte("2"))
	if head, err = in.end(body); err == nil {
		err = r.Parse(head, http1.DefaultLimits)
	}
	return head, r, err
}

// TestIntake shows what a request that came as fields cannot smuggle in.
func TestIntake(t *testing.T) {
	for _, tc := range []struct {
		name                                string
		method, path, authority, fname, val string
		want                                error
	}{
		{"plain", "GET", "/a?b", "example.com", "x", "y", nil},
		{"host beside authority", "GET", "/", "example.com", "host", "EXAMPLE.com", nil},
		{"other host", "GET", "/", "example.com", "host", "example.org", http1.ErrHost},
		{"host alone", "GET", "/", "", "host", "example.com", nil},
		{"no host", "GET", "/", "", "x", "y", http1.ErrHost},
		{"two hosts", "GET", "/", "", "Host", "a\r\nHost: b", http1.ErrFieldValue},
		{"line in a value", "GET", "/", "example.com", "x", "y\r\nContent-Length: 5", http1.ErrFieldValue},
		{"bare CR in a value", "GET", "/", "example.com", "x", "y\rz", http1.ErrFieldValue},
		{"line in a name", "GET", "/", "example.com", "x: y\r\nz", "1", http1.ErrFieldValue},
		{"colon in a name", "GET", "/", "example.com", "content-length:", "5", http1.ErrFieldValue},
		{"blank in a name", "GET", "/", "example.com", "content-length ", "5", http1.ErrFieldName},
		{"line in the path", "GET", "/ HTTP/1.1\r\nX: y", "example.com", "x", "y", http1.ErrTarget},
		{"blank in the path", "GET", "/a b", "example.com", "x", "y", http1.ErrTarget},
		{"fragment", "GET", "/a#b", "example.com", "x", "y", http1.ErrTarget},
		{"absolute path", "GET", "http://example.org/", "example.com", "x", "y", http1.ErrTarget},
		{"no path", "GET", "", "example.com", "x", "y", http1.ErrTarget},
		{"target in the method", "GET /admin", "/", "example.com", "x", "y", http1.ErrTarget},
		{"line in the method", "GET / HTTP/1.1\r\nX:", "/", "example.com", "x", "y", http1.ErrTarget},
		{"line in the authority", "GET", "/", "a\r\nX: y", "x", "y", http1.ErrFieldValue},
		{"connection", "GET", "/", "example.com", "Connection", "x-forwarded-for", http1.ErrOptions},
		{"upgrade", "GET", "/", "example.com", "upgrade", "websocket", http1.ErrOptions},
		{"transfer coding", "POST", "/", "example.com", "transfer-encoding", "chunked", http1.ErrOptions},
		{"control character", "GET", "/", "example.com", "x", "\x00", http1.ErrFieldValue},
		{"malformed length", "POST", "/", "example.com", "content-length", "+5", http1.ErrLength},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := takeIn([]byte(tc.method), []byte(tc.path), []byte(tc.authority), []byte(tc.fname), []byte(tc.val), false)
			if err != tc.want {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// FuzzIntake shows that what is parsed is what came: the borders of lines are
// where the intake put them.
func FuzzIntake(f *testing.F) {
	f.Add([]byte("GET"), []byte("/"), []byte("example.com"), []byte("x"), []byte("y"), true)
	f.Add([]byte("POST"), []byte("/a?b"), []byte("[::1]:80"), []byte("content-length"), []byte("5"), true)
	f.Add([]byte("GET"), []byte("*"), []byte(""), []byte("host"), []byte("a\r\nb: c"), false)
	f.Fuzz(func(t *testing.T, method, path, authority, name, value []byte, body bool) {
		head, r, err := takeIn(method, path, authority, name, value, body)
		if err != nil {
			return
		}
		length := http1.Fold(name, "content-length")
		lines := [][2][]byte{{[]byte("first"), []byte("1")}, {name, bytes.Trim(value, " \t")}, {[]byte("last"), []byte("2")}}
		if len(authority) > 0 {
			lines = append([][2][]byte{{[]byte("Host"), bytes.Trim(authority, " \t")}}, lines...)
			if http1.Fold(name, "host") {
				lines = append(lines[:2], lines[3:]...)
			}
		}
		if body && !length {
			lines = append(lines, [2][]byte{[]byte("Transfer-Encoding"), []byte("chunked")})
		}
		if !bytes.Equal(r.MethodName.Of(head), method) || !bytes.Equal(r.Target.Of(head), path) || len(r.Fields) != len(lines) {
			t.Fatalf("%q: %d fields", head, len(r.Fields))
		}
		for i, l := range lines {
			if f := r.Fields[i]; !bytes.Equal(f.Name.Of(head), l[0]) || !bytes.Equal(f.Value.Of(head), l[1]) {
				t.Errorf("%q: field %d is %q: %q", head, i, f.Name.Of(head), f.Value.Of(head))
			}
		}
		if want := body && !length; (r.Framing == http1.Chunked) != want {
			t.Errorf("%q: framing %v", head, r.Framing)
		}
	})
}

// waiting is a front whose body does not come.
type waiting struct {
	front
	begun, stopped chan struct{}
	stops          atomic.Int32
}

func (w *waiting) read([]byte) (int, error) {
	close(w.begun)
	<-w.stopped
	return 0, errEnded
}

func (w *waiting) stopReading() {
	if w.stops.Add(1) == 1 {
		close(w.stopped)
	}
}

// TestStreamUploadCloses shows that a body that an endpoint does not want ends
// by its doing, not the client's, and lets go of the front for good.
func TestStreamUploadCloses(t *testing.T) {
	s := &server{p: New(Options{Log: slog.New(slog.DiscardHandler)})}
	w := &waiting{begun: make(chan struct{}), stopped: make(chan struct{})}
	l := &lane{front: w}
	l.leash.client, l.side = newClient(s, &net.TCPConn{}), l
	x := getExchange()
	defer putExchange(x)
	x.req.Expect = false
	u := &streamUpload{l: l, x: x}
	u.over = make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := u.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("a closed body ends with %v", err)
		}
	})
	<-w.begun
	for range 3 {
		group.Go(func() { u.Close() })
	}
	group.Wait()
	stops := w.stops.Load()
	u.Close() // late, as the client of HTTP/2 does it
	if w.stops.Load() != stops {
		t.Error("the front is touched behind the end")
	}
	if u.finished() || u.failed != failedBackend {
		t.Errorf("ended as %v, complete %v", u.failed, u.complete)
	}
	if _, err := u.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("behind its end: %v", err)
	}
}
