package lab

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// A Request is what Burst and Probe send, over and over.
type Request struct {
	URL     string
	Host    string        // Host field and TLS server name; empty: the URL's
	Timeout time.Duration // of one request; zero: five seconds
	TLS     *tls.Config   // nil: any certificate is good

	// Server tells from an answer who gave it; nil: its body, up to the
	// first line break.
	Server func(*http.Response, []byte) string
}

// sender returns a function that sends the request from inside the node, over
// a new connection, and says who answered. Any status but 200 is an error.
func (r Request) sender(n *Node) func(context.Context) (server string, err error) {
	n.lab.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.URL, nil)
	n.check("request", err)
	req.Host, req.Close = r.Host, true
	address := req.URL.Host
	if req.URL.Port() == "" {
		address = net.JoinHostPort(req.URL.Hostname(), map[string]string{"http": "80", "https": "443"}[req.URL.Scheme])
	}
	r.defaults(req)
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, r.Timeout)
		defer cancel()
		conn, err := n.DialContext(ctx, "tcp", address)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			conn.SetDeadline(deadline)
		}
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		if req.URL.Scheme == "https" {
			conn = tls.Client(conn, r.TLS)
		}
		return r.exchange(conn, req)
	}
}

func (r *Request) defaults(req *http.Request) {
	if r.Timeout == 0 {
		r.Timeout = 5 * time.Second
	}
	if r.TLS == nil {
		r.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	if r.TLS.ServerName == "" {
		r.TLS = r.TLS.Clone()
		r.TLS.ServerName = cmp.Or(r.Host, req.URL.Hostname())
	}
	if r.Server == nil {
		r.Server = func(_ *http.Response, body []byte) string {
			line, _, _ := strings.Cut(string(body), "\n")
			return line
		}
	}
}

// exchange sends the request and reads the answer. An http.Client would dial
// on after the request's deadline, and might send it twice.
func (r Request) exchange(conn net.Conn, req *http.Request) (server string, err error) {
	if err := req.Write(conn); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	return r.Server(resp, body), nil
}

// reason is the kind of an error, without the addresses and ports that differ
// from one request to the next.
func reason(err error) string {
	var errno syscall.Errno
	var netErr net.Error
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout(),
		errors.Is(err, net.ErrClosed): // by the sender itself, whose time is up
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	default:
		return err.Error()
	}
}
