package edge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

const (
	// heldEvery is how often Hold uses a connection.
	heldEvery = 200 * time.Millisecond
	// heldPatience is how long one may go without an answer: longer than a
	// take-over, in which TCP repeats what was lost.
	heldPatience = 20 * time.Second
)

// Held are connections that a client keeps and uses again and again.
type Held struct {
	stop  context.CancelFunc
	wg    sync.WaitGroup
	conns []*heldConn
}

type heldConn struct {
	conn net.Conn

	mu      sync.Mutex // the fields below
	edge    string     // who answered first
	answers int
	err     error
}

// Hold opens n connections to the VIP, each answered once when it returns, and
// uses each several times a second. They end with Release, or with the test.
func (e *Edge) Hold(n int) *Held {
	e.t.Helper()
	return e.HoldEvery(n, heldEvery)
}

// HoldEvery is Hold for more connections than an emulated machine can serve
// that often.
func (e *Edge) HoldEvery(n int, every time.Duration) *Held {
	e.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	h := &Held{stop: stop}
	e.t.Cleanup(h.Release)
	for range n {
		conn, err := e.Client.DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", e.opts.VIP, firstPort))
		if err != nil {
			e.t.Fatalf("hold a connection: %v", err)
		}
		c := &heldConn{conn: conn}
		h.conns = append(h.conns, c)
		r := bufio.NewReader(conn)
		if err := c.ask(r); err != nil {
			e.t.Fatalf("hold a connection: %v", err)
		}
		h.wg.Go(func() { c.run(ctx, r, every) })
	}
	return h
}

func (c *heldConn) run(ctx context.Context, r *bufio.Reader, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer c.conn.Close()
	defer context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := c.ask(r); err != nil {
			if ctx.Err() == nil {
				c.mu.Lock()
				c.err = err
				c.mu.Unlock()
			}
			return
		}
	}
}

// ask sends a request and reads its answer.
func (c *heldConn) ask(r *bufio.Reader) error {
	if err := c.conn.SetDeadline(time.Now().Add(heldPatience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.conn, "GET /held HTTP/1.1\r\nHost: %s\r\n\r\n", Host); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	edge := resp.Header.Get("X-Edge")
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", resp.StatusCode)
	case c.answers == 0:
		c.edge = edge
	case edge != c.edge:
		return fmt.Errorf("answered by %s, and by %s before", edge, c.edge)
	}
	c.answers++
	return nil
}

// Alive counts the connections that work, by edge node.
func (h *Held) Alive() map[string]int {
	alive := map[string]int{}
	for _, c := range h.conns {
		c.mu.Lock()
		if c.err == nil {
			alive[c.edge]++
		}
		c.mu.Unlock()
	}
	return alive
}

// Broken lists what ended connections, by edge node.
func (h *Held) Broken() map[string][]error {
	broken := map[string][]error{}
	for _, c := range h.conns {
		c.mu.Lock()
		if c.err != nil {
			broken[c.edge] = append(broken[c.edge], c.err)
		}
		c.mu.Unlock()
	}
	return broken
}

// WaitUsed waits until every connection has been answered once more, or
// broken. Those of the nodes given, which nobody answers, are left out.
func (h *Held) WaitUsed(t lab.T, without ...*Node) {
	t.Helper()
	before := make([]int, len(h.conns))
	for i, c := range h.conns {
		before[i], _ = c.state()
	}
	lab.Eventually(t, 2*heldPatience, "held connections used once more", func() error {
		for i, c := range h.conns {
			if slices.ContainsFunc(without, func(n *Node) bool { return n.Name() == c.edge }) {
				continue
			}
			if n, err := c.state(); err == nil && n == before[i] {
				return fmt.Errorf("connection %d, of %s, waits for answer %d", i+1, c.edge, n+1)
			}
		}
		return nil
	})
}

func (c *heldConn) state() (answers int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers, c.err
}

// Release closes all connections.
func (h *Held) Release() {
	h.stop()
	h.wg.Wait()
}
