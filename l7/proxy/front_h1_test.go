package proxy

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/portico-lb/portico/l7/http1"
)

// A slowClient takes each write only when it may, and remembers all. It is
// written to by one at a time, or the race detector says so.
type slowClient struct {
	net.Conn
	begun, takes chan struct{}
	writes       []string
}

func (s *slowClient) Write(p []byte) (int, error) {
	s.writes = append(s.writes, string(p))
	s.begun <- struct{}{}
	<-s.takes
	return len(p), nil
}

// TestInterimBesideResponse shows that 100 (Continue), which is sent when the
// endpoint's connection begins to read the body, neither mixes with a response
// that comes at this moment nor follows it.
func TestInterimBesideResponse(t *testing.T) {
	client := &slowClient{begun: make(chan struct{}, 3), takes: make(chan struct{})}
	x := &exchange{}
	x.req.Minor = 1
	x.resp.Framing = http1.Length
	f := &connFront{c: &conn{rw: client}, x: x}
	interim := func() {
		if err := f.interim(100, nil); err != nil {
			t.Error(err)
		}
	}
	var group sync.WaitGroup
	group.Go(interim)
	<-client.begun
	group.Go(func() {
		if err := f.respond(413, []field{{Name: []byte("Content-Length"), Value: []byte("0")}}, true, false); err != nil {
			t.Error(err)
		}
	})
	close(client.takes)
	group.Wait()
	interim() // too late, and no harm
	if len(client.writes) != 2 || !strings.HasPrefix(client.writes[0], "HTTP/1.1 100 ") || !strings.HasPrefix(client.writes[1], "HTTP/1.1 413 ") {
		t.Errorf("wrote %q", client.writes)
	}
}
