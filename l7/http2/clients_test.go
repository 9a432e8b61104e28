package http2_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/portico-lb/portico/l7/http2"
)

// echo answers with the request: its head as fields, its body as body, its
// trailers as trailers.
func echo(s *http2.Stream) {
	fields := []http2.Field{
		{Name: []byte("X-Method"), Value: s.Method},
		{Name: []byte("X-Path"), Value: s.Path},
		{Name: []byte("X-Authority"), Value: s.Authority},
		{Name: []byte("Connection"), Value: []byte("close")},
	}
	for _, f := range s.Fields {
		fields = append(fields, http2.Field{Name: append([]byte("echo-"), f.Name...), Value: f.Value})
	}
	if !s.HasBody {
		s.WriteHead(200, fields, true)
		return
	}
	if s.WriteHead(200, fields, false) != nil {
		return
	}
	s.Flush()
	b := make([]byte, 8<<10)
	for {
		n, err := s.Read(b)
		if _, err := s.Write(b[:n]); err != nil {
			return
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return
		}
	}
	s.WriteEnd(s.Trailers())
}

// transport speaks HTTP/2 in clear to addr.
func transport(t testing.TB, addr string) *http.Transport {
	tr := &http.Transport{
		Protocols: unencrypted(),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// unencrypted is HTTP/2 in clear.
func unencrypted() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func TestTransport(t *testing.T) {
	tr := transport(t, listen(t, http2.Settings{}, nil, echo))
	sizes := []int{-1, 0, 1, 100, 16 << 10, 100_000, 3 << 20}
	var group sync.WaitGroup
	for i := range 60 {
		group.Go(func() {
			size := sizes[i%len(sizes)]
			if err := exchange(tr, size); err != nil {
				t.Errorf("body of %d: %v", size, err)
			}
		})
	}
	group.Wait()
}

// exchange sends a request with a body of a size, -1 for none, and checks what
// comes back.
func exchange(tr http.RoundTripper, size int) error {
	var body io.Reader
	sent := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:max(size, 0)]
	if size >= 0 {
		body = struct{ io.Reader }{bytes.NewReader(sent)}
	}
	req, _ := http.NewRequest("POST", fmt.Sprintf("http://example.com/a/b?size=%d", size), body)
	req.Header.Set("Cookie", "a=b; c=d")
	req.Header.Set("X-Long", strings.Repeat("x", 3000))
	if size >= 0 {
		req.Trailer = http.Header{"Sum": {fmt.Sprint(size)}}
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	switch h := resp.Header; {
	case !bytes.Equal(got, sent):
		return fmt.Errorf("body of %d bytes came back", len(got))
	case resp.StatusCode != 200 || h.Get("X-Method") != "POST" || h.Get("X-Authority") != "example.com" ||
		h.Get("X-Path") != req.URL.RequestURI() || h.Get("Echo-Cookie") != "a=b; c=d" || len(h.Get("Echo-X-Long")) != 3000:
		return fmt.Errorf("%d %v", resp.StatusCode, h)
	case size >= 0 && resp.Trailer.Get("Sum") != fmt.Sprint(size):
		return fmt.Errorf("trailers %v", resp.Trailer)
	}
	return nil
}

// TestPrograms has the clients of others fetch and send.
func TestPrograms(t *testing.T) {
	clear, secure := listen(t, http2.Settings{}, nil, echo), listen(t, http2.Settings{}, overTLS(t), echo)
	file := filepath.Join(t.TempDir(), "file")
	sent := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	if err := os.WriteFile(file, sent, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"curl", "-sk", "--http2-prior-knowledge", "--data-binary", "@" + file, "http://" + clear + "/a"},
		{"curl", "-sk", "--http2", "--data-binary", "@" + file, "https://" + secure + "/a"},
		{"curl", "-sk", "--http2", "--limit-rate", "8M", "-T", file, "https://" + secure + "/a"},
		{"nghttp", "-d", file, "http://" + clear + "/a"},
		{"nghttp", "--no-verify-peer", "-w16", "-W17", "-d", file, "https://" + secure + "/a"},
		{"nghttp", "--no-verify-peer", "-p255", "--continuation", "-c0", "-d", file, "https://" + secure + "/a"},
	} {
		t.Run(strings.Join(args[:3], " "), func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(args[0]); err != nil {
				missing(t, err)
			}
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			var warnings bytes.Buffer
			cmd.Stderr = &warnings
			if got, err := cmd.Output(); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d of %d bytes came back: %v %s", len(got), len(sent), err, warnings.String())
			}
		})
	}
}

// missing skips a test, except in the laboratory, which has everything.
func missing(t *testing.T, err error) {
	if os.Getenv("PORTICO_LAB") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}
