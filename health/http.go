package health

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
)

// maxResponse bounds what one attempt reads, header and body together: a
// server that answers without end must not be able to fill our memory or
// keep a check busy.
const maxResponse = 64 << 10

// An HTTPRequest is what a check of kind HTTP sends and accepts.
type HTTPRequest struct {
	// Method is "" for GET.
	Method string
	// Host is the Host header; "" sends the target's address and port.
	Host string
	// Path is the request target in origin form, query included, as it is sent.
	Path string
	// Header are more fields, as lines of "Name: value\n".
	Header string
	// Status is what counts as a pass; Statuses are more such ranges, in the
	// configuration's words: "301,401-403".
	Status   StatusRange
	Statuses string
	// Body is a regular expression that the body's first 32 KiB match; "" is
	// any body.
	Body string
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

func (r HTTPRequest) passes(code int) bool {
	if r.Status.Low <= code && code <= r.Status.High {
		return true
	}
	more, _ := parseStatuses(r.Statuses)
	for _, s := range more {
		if s.Low <= code && code <= s.High {
			return true
		}
	}
	return false
}

func (r HTTPRequest) wanted() string {
	if r.Statuses == "" {
		return r.Status.String()
	}
	return r.Status.String() + "," + r.Statuses
}

func (p *Prober) probeHTTP(ctx context.Context, c Check) (said string, err error) {
	conn, err := dial(ctx, c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return p.exchange(conn, c)
}

// exchange sends one request over a connection of its own, and returns what
// the answer says at c.WeightFrom. net/http's client is not used: it would
// follow, pool and start two goroutines a connection, and a check wants none
// of them. A redirect is an answer like any other.
func (p *Prober) exchange(conn net.Conn, c Check) (said string, err error) {
	if _, err := conn.Write(c.HTTP.request(c.Target)); err != nil {
		return "", fmt.Errorf("send request: %w", plain(c, err))
	}
	// A buffer of its own for each attempt would be most of what it allocates.
	r := p.readers.Get().(*bufio.Reader)
	defer p.readers.Put(r)
	r.Reset(io.LimitReader(conn, maxResponse))
	res, err := final(r, c.HTTP.Method) //nolint:bodyclose // it would read the rest; closing conn frees all
	if err != nil {
		return "", fmt.Errorf("read response: %w", plain(c, err))
	}
	if !c.HTTP.passes(res.StatusCode) {
		return "", fmt.Errorf("status %d, want %s", res.StatusCode, c.HTTP.wanted())
	}
	// A server that dies in the middle of its answer fails the check. One that
	// has sent this much has shown enough; half of maxResponse, since the
	// header has had its share of it.
	body := io.LimitReader(res.Body, maxResponse/2)
	if name, ok := strings.CutPrefix(c.WeightFrom, fromHeader); ok {
		said = res.Header.Get(name)
	}
	if c.HTTP.Body == "" && c.WeightFrom != fromBody {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return "", fmt.Errorf("read body: %w", plain(c, err))
		}
		return said, nil
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return "", fmt.Errorf("read body: %w", plain(c, err))
	}
	if c.WeightFrom == fromBody {
		said = string(b)
	}
	if c.HTTP.Body == "" {
		return said, nil
	}
	return said, match("body", c.HTTP.Body, b)
}

// final reads the response behind those that only announce it, such as 103
// (RFC 9110, section 15.2: a client must be able to). After 101 none comes.
func final(r *bufio.Reader, method string) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil || res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, err
		}
	}
}

// match says in what an answer differs from the regular expression it should
// match. Compiling takes microseconds, and few checks have one.
func match(what, pattern string, b []byte) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if re.Match(b) {
		return nil
	}
	const quoted = 40
	if b = bytes.TrimSpace(b); len(b) > quoted {
		return fmt.Errorf("%s %q... does not match %q", what, b[:quoted], pattern)
	}
	return fmt.Errorf("%s %q does not match %q", what, b, pattern)
}

// request returns what is sent.
func (r HTTPRequest) request(target netip.AddrPort) []byte {
	b := make([]byte, 0, 256)
	b = append(b, cmp.Or(r.Method, http.MethodGet)...)
	b = append(b, ' ')
	b = append(b, r.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if r.Host == "" {
		b = target.AppendTo(b)
	} else {
		b = append(b, r.Host...)
	}
	b = append(b, "\r\nUser-Agent: portico-health\r\n"...)
	for line := range strings.Lines(r.Header) {
		b = append(append(b, strings.TrimSuffix(line, "\n")...), "\r\n"...)
	}
	if r.Method == http.MethodPost {
		b = append(b, "Content-Length: 0\r\n"...)
	}
	return append(b, "Connection: close\r\n\r\n"...)
}
