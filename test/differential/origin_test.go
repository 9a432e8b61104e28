package differential

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A reading is how a request was understood by whoever forwarded it.
type reading struct {
	Method, Target, Host string
	Body                 int64 // bytes; -1 where they did not come
}

func (r reading) String() string {
	return fmt.Sprintf("%s %.100s at %q with %d", r.Method, r.Target, r.Host, r.Body)
}

// A forwarded request is a reading and the bytes that it came as.
type forwarded struct {
	reading
	raw string
}

// An origin is the server behind a program under test. It says nothing about
// requests but that they have come, and remembers what it got.
type origin struct {
	addr string

	mu  sync.Mutex
	got map[int][]forwarded // by item
	odd []string            // what belongs to no item, or is no request
}

func startOrigin(t *testing.T) *origin {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{addr: l.Addr().String(), got: map[int][]forwarded{}}
	var group sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		group.Wait()
	})
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				stop := time.AfterFunc(5*time.Minute, func() { c.Close() })
				defer stop.Stop()
				o.serve(c)
			})
		}
	})
	return o
}

// A tape keeps what is read.
type tape struct {
	net.Conn
	read []byte
}

func (c *tape) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read = append(c.read, p[:n]...)
	return n, err
}

func (o *origin) serve(c net.Conn) {
	in := &tape{Conn: c}
	r := bufio.NewReader(in)
	for {
		begin := len(in.read) - r.Buffered()
		req, err := http.ReadRequest(r)
		if err != nil {
			if rest := in.read[begin:]; len(rest) > 0 {
				o.note(fmt.Sprintf("no request: %v: %.300q", err, rest))
			}
			return
		}
		if req.Header.Get("Expect") != "" {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		body, err := io.Copy(io.Discard, req.Body)
		if err != nil {
			body = -1
		}
		o.take(req, body, string(in.read[begin:len(in.read)-r.Buffered()]))
		if _, werr := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); werr != nil || err != nil || req.Close {
			return
		}
	}
}

var itemPath = regexp.MustCompile(`/i(\d+)`)

func (o *origin) take(r *http.Request, body int64, raw string) {
	m := itemPath.FindStringSubmatch(r.RequestURI)
	if m == nil {
		m = itemPath.FindStringSubmatch(r.Header.Get("X-Item"))
	}
	if m == nil {
		m = itemPath.FindStringSubmatch(r.Host)
	}
	if m == nil {
		o.note(fmt.Sprintf("a request of no item: %.300q", raw))
		return
	}
	id, _ := strconv.Atoi(m[1])
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got[id] = append(o.got[id], forwarded{reading{r.Method, r.RequestURI, r.Host, body}, raw})
}

func (o *origin) note(s string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.odd = append(o.odd, s)
}

// collect returns what has come, and forgets it.
func (o *origin) collect() (got map[int][]forwarded, odd []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	got, odd = o.got, o.odd
	o.got, o.odd = map[int][]forwarded{}, nil
	return got, odd
}
