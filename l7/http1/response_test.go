package http1_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/http1"
)

func TestResponseAccepted(t *testing.T) {
	for _, tc := range []struct {
		name, head string
		method     http1.Method
		status     int
		framing    http1.Framing
		length     int64
		keep       bool
		dropped    int
	}{
		{"length", head("HTTP/1.1 200 OK", "Content-Length: 5"), http1.GET, 200, http1.Length, 5, true, 0},
		{"no reason", head("HTTP/1.1 200", "Content-Length: 5"), http1.GET, 200, http1.Length, 5, true, 0},
		{"chunked", head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), http1.GET, 200, http1.Chunked, 0, true, 0},
		{"until the end", head("HTTP/1.1 200 OK", "A: b"), http1.GET, 200, http1.Close, 0, false, 0},
		{"to HEAD", head("HTTP/1.1 200 OK", "Content-Length: 5"), http1.HEAD, 200, http1.None, 0, true, 0},
		{"to HEAD without length", head("HTTP/1.1 200 OK", "A: b"), http1.HEAD, 200, http1.None, 0, true, 0},
		{"204", head("HTTP/1.1 204 No Content", "A: b"), http1.GET, 204, http1.None, 0, true, 0},
		{"204 with length", head("HTTP/1.1 204 No Content", "Content-Length: 0"), http1.GET, 204, http1.None, 0, true, 1},
		{"304 with length", head("HTTP/1.1 304 Not Modified", "Content-Length: 5"), http1.GET, 304, http1.None, 0, true, 0},
		{"103", head("HTTP/1.1 103 Early Hints", "Link: x"), http1.GET, 103, http1.None, 0, true, 0},
		{"close", head("HTTP/1.1 200 OK", "Content-Length: 5", "Connection: close"), http1.GET, 200, http1.Length, 5, false, 1},
		{"1.0", head("HTTP/1.0 200 OK", "Content-Length: 5"), http1.GET, 200, http1.Length, 5, false, 0},
		{"1.0 keep-alive", head("HTTP/1.0 200 OK", "Content-Length: 5", "Connection: Keep-Alive"), http1.GET, 200, http1.Length, 5, true, 1},
		{"odd status", head("HTTP/1.1 999 Request denied", "Content-Length: 0"), http1.GET, 999, http1.Length, 0, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r http1.Response
			if err := r.Parse([]byte(tc.head), tc.method, http1.DefaultLimits); err != nil {
				t.Fatal(err)
			}
			if r.Status != tc.status || r.Framing != tc.framing || r.Length != tc.length || r.KeepAlive != tc.keep || r.Dropped != tc.dropped {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestResponseRefused(t *testing.T) {
	for _, tc := range []struct {
		name, head string
		want       *http1.Error
	}{
		{"not HTTP", head("ICY 200 OK"), http1.ErrStatusLine},
		{"HTTP/2", head("HTTP/2.0 200 OK"), http1.ErrStatusLine},
		{"short status", head("HTTP/1.1 20 OK"), http1.ErrStatusLine},
		{"long status", head("HTTP/1.1 2000 OK"), http1.ErrStatusLine},
		{"low status", head("HTTP/1.1 099 OK"), http1.ErrStatusLine},
		{"control byte in reason", head("HTTP/1.1 200 O\x00K"), http1.ErrStatusLine},
		{"CR in reason", head("HTTP/1.1 200 O\rA: b"), http1.ErrStatusLine},
		{"length and coding", head("HTTP/1.1 200 OK", "Content-Length: 3", "Transfer-Encoding: chunked"), http1.ErrFraming},
		{"two lengths", head("HTTP/1.1 200 OK", "Content-Length: 3", "Content-Length: 5"), http1.ErrLength},
		{"two lengths to HEAD", head("HTTP/1.1 200 OK", "Content-Length: 3", "Content-Length: 5"), http1.ErrLength},
		{"coding unknown", head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip"), http1.ErrCoding},
		{"folded", head("HTTP/1.1 200 OK", "A: b", " c"), http1.ErrFold},
		{"bare LF", "HTTP/1.1 200 OK\nA: b\r\n\r\n", http1.ErrBareLF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r http1.Response
			if err := r.Parse([]byte(tc.head), http1.GET, http1.DefaultLimits); err != tc.want {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// FuzzResponse compares with net/http: what passes here passes there, and has
// the same framing.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(head("HTTP/1.1 200 OK", "Content-Length: 5")), false)
	f.Add([]byte(head("HTTP/1.0 304 ", "Transfer-Encoding: chunked", "Connection: a")), true)
	f.Add([]byte(head("HTTP/1.1 204 No", "Content-Length: 0")), false)
	f.Fuzz(func(t *testing.T, b []byte, isHead bool) {
		method, name := http1.GET, "GET"
		if isHead {
			method, name = http1.HEAD, "HEAD"
		}
		var r http1.Response
		end := http1.HeadEnd(b, 0)
		if end == 0 || r.Parse(b[:end], method, http1.DefaultLimits) != nil {
			return
		}
		twin, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:end])), &http.Request{Method: name})
		if err != nil {
			if strings.Contains(err.Error(), "malformed MIME header") && r.Status >= 100 {
				t.Fatalf("net/http refuses %q: %v", b[:end], err)
			}
			return
		}
		if twin.StatusCode != r.Status {
			t.Fatalf("status %d, net/http %d", r.Status, twin.StatusCode)
		}
		if r.Framing == http1.Length && twin.ContentLength != r.Length ||
			r.Framing == http1.Chunked && len(twin.TransferEncoding) == 0 ||
			r.Framing == http1.Close && twin.ContentLength != -1 {
			t.Fatalf("%q: got %+v, net/http %+v", b[:end], r, twin)
		}
	})
}
