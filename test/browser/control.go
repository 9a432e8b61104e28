package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// guest is the guest's address on the network that qemu forwards to.
const guest = "10.0.2.15"

// allowOrders gives a node a token, which the [admin] section of a laboratory
// has not.
func allowOrders(n *edge.Node) error {
	file := filepath.Join(n.Dir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		return err
	}
	n.RewriteConfig(func(text string) string {
		return strings.Replace(text, "[admin]\n", fmt.Sprintf("[admin]\ntoken_file = %q\n", file), 1)
	})
	return nil
}

// A control takes the test's orders:
//
//	GET  /owner                     the name of the node that has the VIP
//	GET  /status?node=              what `portico status --json` prints there
//	POST /kill?node=&process=       end its director or proxy at once
//	POST /start?node=&process=      start it again
//	POST /end                       end the edge
type control struct {
	edge  *edge.Edge
	ended chan struct{}

	mu sync.Mutex // processes are started and ended one at a time
}

// serve answers on port 9170, and passes 9180 and up on to the nodes.
func (c *control) serve(t lab.T) error {
	for i, n := range c.edge.Nodes {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", guest, 9180+i))
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go relay(l, n)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /owner", func(w http.ResponseWriter, _ *http.Request) {
		owner, err := c.edge.Owner()
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		fmt.Fprint(w, owner)
	})
	mux.HandleFunc("GET /status", c.onNode(func(w http.ResponseWriter, n *edge.Node, _ *http.Request) error {
		out, _ := n.Portico("status", "--json") // fails where something is wrong, which it shows
		_, err := io.WriteString(w, out)
		return err
	}))
	mux.HandleFunc("POST /kill", c.onNode(func(_ http.ResponseWriter, n *edge.Node, r *http.Request) error {
		if p := process(n, r); p.Running() {
			p.Kill()
			<-p.Done()
		}
		return nil
	}))
	mux.HandleFunc("POST /start", c.onNode(func(_ http.ResponseWriter, n *edge.Node, r *http.Request) error {
		if p := process(n, r); !p.Running() {
			p.Start()
		}
		return nil
	}))
	end := sync.OnceFunc(func() { close(c.ended) })
	mux.HandleFunc("POST /end", func(http.ResponseWriter, *http.Request) { end() })
	l, err := net.Listen("tcp", guest+":9170")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	t.Cleanup(func() { srv.Close() })
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Logf("control: %v", err)
		}
	}()
	return nil
}

// onNode makes a handler of what is done to the node that the request names.
func (c *control) onNode(do func(http.ResponseWriter, *edge.Node, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, n := range c.edge.Nodes {
			if n.Name() != r.FormValue("node") {
				continue
			}
			if err := do(w, n, r); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
			return
		}
		http.Error(w, "no such node", http.StatusNotFound)
	}
}

func process(n *edge.Node, r *http.Request) *edge.Process {
	if r.FormValue("process") == "proxy" {
		return n.Proxy
	}
	return n.Director
}

// relay passes connections on to a node's admin listener until l is closed.
func relay(l net.Listener, n *edge.Node) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			var to net.Conn
			var err error
			n.Do(func() { to, err = net.Dial("tcp", "127.0.0.1:9180") })
			if err != nil {
				return // as a node without a director answers
			}
			defer to.Close()
			go func() {
				io.Copy(to, from)
				to.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(from, to)
		}()
	}
}
