package health

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// maxResponse bounds what one attempt reads, header and body together: a
// server that answers without end must not be able to fill our memory or
// keep a check busy.
const maxResponse = 64 << 10

// An HTTPRequest is what a check of kind HTTP sends and accepts.
type HTTPRequest struct {
	// Host is the Host header; "" sends the target's address and port.
	Host string
	// Path is the request target in origin form, query included.
	Path string
	// Status is what counts as a pass.
	Status StatusRange
}

// A StatusRange is a range of HTTP status codes, both ends included.
type StatusRange struct{ Low, High int }

// String gives the range as it is configured: "200-299", or "204".
func (r StatusRange) String() string {
	if r.Low == r.High {
		return fmt.Sprint(r.Low)
	}
	return fmt.Sprintf("%d-%d", r.Low, r.High)
}

// probeHTTP sends one GET over a connection of its own. net/http's client is
// not used: it would follow, pool and start two goroutines a connection, and
// a check wants none of them. A redirect is an answer like any other.
func probeHTTP(ctx context.Context, c Check) error {
	conn, err := dial(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Wakes the reads and writes below when the attempt's time is over or the
	// check is removed.
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()

	req, err := newRequest(c)
	if err != nil {
		return err
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("send request: %w", plain(c, err))
	}
	res, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxResponse)), req) //nolint:bodyclose // it would read the rest; closing conn frees all
	if err != nil {
		return fmt.Errorf("read response: %w", plain(c, err))
	}
	if code, want := res.StatusCode, c.HTTP.Status; code < want.Low || code > want.High {
		return fmt.Errorf("status %d, want %s", code, want)
	}
	// A server that dies in the middle of its answer fails the check. One that
	// has sent this much has shown enough; half of maxResponse, since the
	// header has had its share of it.
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxResponse/2)); err != nil {
		return fmt.Errorf("read body: %w", plain(c, err))
	}
	return nil
}

func newRequest(c Check) (*http.Request, error) {
	u, err := url.ParseRequestURI(c.HTTP.Path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", c.HTTP.Path, err)
	}
	host := c.HTTP.Host
	if host == "" {
		host = c.Target.String()
	}
	return &http.Request{
		Method: http.MethodGet,
		URL:    u,
		Host:   host,
		Header: http.Header{"User-Agent": {"portico-health"}},
		Close:  true,
	}, nil
}
