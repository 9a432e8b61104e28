package middleware_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	. "github.com/portico-lb/portico/l7/middleware"
)

// A sink is what a client gets.
type sink struct {
	bytes.Buffer
	flushed []int // lengths
	closed  bool
	err     error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.Buffer.Write(p)
}
func (s *sink) Flush() error { s.flushed = append(s.flushed, s.Len()); return s.err }
func (s *sink) Close() error { s.closed = true; return s.err }

// through is the way of a response through a middleware to s.
func through(t *testing.T, m Middleware, r *Request, w *Response, s *sink) Writer {
	t.Helper()
	if a := m.Handle(t.Context(), r); a != nil {
		t.Fatalf("answer %+v", a)
	}
	r.Respond(w)
	to := Writer(s)
	for _, f := range w.Transforms() {
		to = f(to)
	}
	return to
}

func decode(t *testing.T, encoding string, b []byte) string {
	t.Helper()
	var from io.Reader = bytes.NewReader(b)
	var err error
	switch encoding {
	case "gzip":
		from, err = gzip.NewReader(from)
	case "br":
		from = brotli.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(from)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return string(out)
}

// TestCompressNegotiates checks which encoding a client gets.
func TestCompressNegotiates(t *testing.T) {
	for _, tc := range []struct {
		ours   string
		accept []string
		want   string
	}{
		{"", nil, ""},
		{"", []string{""}, ""},
		{"", []string{"gzip, deflate, br, zstd"}, "zstd"},
		{"gzip br", []string{"gzip, deflate, br, zstd"}, "gzip"},
		{"", []string{"gzip", "br"}, "br"},
		{"", []string{"GZip ; Q=1.0"}, "gzip"},
		{"", []string{"x-gzip"}, "gzip"},
		{"", []string{"gzip;q=0.9, br;q=0.5"}, "gzip"},
		{"", []string{"gzip;q=0, *"}, "zstd"},
		{"gzip", []string{"gzip;q=0, *"}, ""},
		{"", []string{"*;q=0"}, ""},
		{"", []string{"identity, gzip;q=0.5"}, ""},
		{"", []string{"identity;q=0.5, gzip;q=0.5"}, "gzip"},
		{"", []string{"gzip;q=2, br;q=x, zstd;p=1"}, ""},
		{"", []string{"gzip;q=NaN"}, ""},
		{"", []string{"deflate, compress"}, ""},
	} {
		r := &Request{}
		for _, a := range tc.accept {
			r.Header.Add("Accept-Encoding", a)
		}
		w := &Response{Status: 200, Length: -1, Header: Header{{"Content-Type", "text/html"}}}
		through(t, Compress{Encodings: strings.Fields(tc.ours)}.New(env()), r, w, &sink{})
		if got := w.Header.Get("Content-Encoding"); got != tc.want || w.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%v of %q: %q, want %q; %v", tc.accept, tc.ours, got, tc.want, w.Header)
		}
	}
}

// TestCompressChooses checks what is encoded, and what its fields become.
func TestCompressChooses(t *testing.T) {
	html := Field{"Content-Type", "text/html; charset=utf-8"}
	as := Header{html, {"Vary", "Accept-Encoding"}, {"Content-Encoding", "gzip"}}
	for _, tc := range []struct {
		name string
		step Compress
		r    Request
		w    Response
		want Header // nil: as it was
	}{
		{name: "long", w: Response{Length: 1024, Header: Header{html}}, want: as},
		{name: "unknown length", w: Response{Length: -1, Header: Header{html}}, want: as},
		{name: "an error", w: Response{Status: 404, Length: 2000, Header: Header{html}}, want: as},
		{name: "short", w: Response{Length: 1023, Header: Header{html}}},
		{name: "not that short", step: Compress{Least: 10}, w: Response{Length: 11, Header: Header{html}}, want: as},
		{name: "image", w: Response{Length: -1, Header: Header{{"Content-Type", "image/png"}}}},
		{name: "no type", w: Response{Length: -1}},
		{name: "SVG", w: Response{Length: -1, Header: Header{{"Content-Type", "Image/SVG+xml"}}},
			want: Header{{"Content-Type", "Image/SVG+xml"}, {"Vary", "Accept-Encoding"}, {"Content-Encoding", "gzip"}}},
		{name: "all types", step: Compress{Types: []string{"*/*"}}, w: Response{Length: -1, Header: Header{{"Content-Type", "image/png"}}},
			want: Header{{"Content-Type", "image/png"}, {"Vary", "Accept-Encoding"}, {"Content-Encoding", "gzip"}}},
		{name: "not of these types", step: Compress{Types: []string{"image/*"}}, w: Response{Length: -1, Header: Header{html}}},
		{name: "except", step: Compress{Except: []string{"text/html"}}, w: Response{Length: -1, Header: Header{html}}},
		{name: "gRPC by type", step: Compress{Types: []string{"*/*"}}, w: Response{Length: -1, Header: Header{{"Content-Type", "application/grpc+proto"}}}},
		{name: "gRPC", r: Request{GRPC: true}, w: Response{Length: -1, Header: Header{html}}},
		{name: "upgrade", r: Request{Upgrade: true}, w: Response{Length: -1, Header: Header{html}}},
		{name: "HEAD", r: Request{Method: "HEAD"}, w: Response{Length: 0, Header: Header{html}}, want: Header{html, {"Vary", "Accept-Encoding"}}},
		{name: "encoded", w: Response{Length: -1, Header: Header{html, {"Content-Encoding", "br"}}}},
		{name: "part", w: Response{Status: 206, Length: 2000, Header: Header{html}}},
		{name: "part by field", w: Response{Length: 2000, Header: Header{html, {"Content-Range", "bytes 0-1999/3000"}}}},
		{name: "not changed", w: Response{Status: 304, Length: -1, Header: Header{html}}},
		{name: "no-transform", w: Response{Length: -1, Header: Header{html, {"Cache-Control", "private"}, {"Cache-Control", "max-age=1, No-Transform"}}}},
		{name: "what no longer holds", w: Response{Length: 2000, Header: Header{html, {"ETag", `"1"`}, {"Accept-Ranges", "bytes"}, {"Content-MD5", "x"}, {"Vary", "Cookie, accept-encoding"}}},
			want: Header{html, {"Vary", "Cookie, accept-encoding"}, {"Content-Encoding", "gzip"}, {"ETag", `W/"1"`}}},
		{name: "weak already", w: Response{Length: 2000, Header: Header{html, {"ETag", `W/"1"`}}}, want: Header{html, {"ETag", `W/"1"`}, {"Vary", "Accept-Encoding"}, {"Content-Encoding", "gzip"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.w.Status == 0 {
				tc.w.Status = 200
			}
			if tc.want == nil {
				tc.want = append(tc.want, tc.w.Header...)
			}
			tc.r.Header = Header{{"Accept-Encoding", "gzip"}}
			length := tc.w.Length
			through(t, tc.step.New(env()), &tc.r, &tc.w, &sink{})
			if diff := cmp.Diff(tc.want, tc.w.Header); diff != "" {
				t.Error(diff)
			}
			encoded := tc.w.Header.Get("Content-Encoding") == "gzip"
			if (len(tc.w.Transforms()) == 1) != encoded || !encoded && tc.w.Length != length {
				t.Errorf("%d transforms, length %d", len(tc.w.Transforms()), tc.w.Length)
			}
		})
	}
}

// TestCompressBodies checks that bodies come through whole, that what was
// flushed can be read, and that encoders that were used are as good as new.
func TestCompressBodies(t *testing.T) {
	random := rand.New(rand.NewChaCha8([32]byte{}))
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		for _, level := range []int{0, 1, 9} {
			m := Compress{Encodings: []string{encoding}, Level: level}.New(env())
			for round := range 20 {
				r := &Request{Header: Header{{"Accept-Encoding", encoding}}}
				w := &Response{Status: 200, Length: -1, Header: Header{{"Content-Type", "text/event-stream"}}}
				s := &sink{}
				to := through(t, m, r, w, s)
				var want strings.Builder
				for i := range 1 + round/5 {
					event := fmt.Sprintf("event %d: %s\n\n", i, strings.Repeat("x", random.IntN(100_000)))
					want.WriteString(event)
					if n, err := io.WriteString(to, event); err != nil || n != len(event) {
						t.Fatal(n, err)
					}
					if err := to.Flush(); err != nil {
						t.Fatal(err)
					}
					if got := decode(t, encoding, s.Bytes()); got != want.String() || len(s.flushed) != i+1 {
						t.Fatalf("%s: %d bytes are readable after a flush, want %d", encoding, len(got), want.Len())
					}
				}
				if err := to.Close(); err != nil || !s.closed {
					t.Fatal(err, s.closed)
				}
				if got := decode(t, encoding, s.Bytes()); got != want.String() {
					t.Fatalf("%s: another body: %d bytes, want %d", encoding, len(got), want.Len())
				}
			}
			broken := &sink{err: io.ErrClosedPipe}
			to := through(t, m, &Request{Header: Header{{"Accept-Encoding", encoding}}}, &Response{Status: 200, Length: -1, Header: Header{{"Content-Type", "text/html"}}}, broken)
			_, _ = io.WriteString(to, strings.Repeat("x", 1<<20))
			if err := to.Close(); err == nil {
				t.Errorf("%s: no error of a client that has gone", encoding)
			}
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	body := []byte(strings.Repeat(`{"name":"portico","kind":"load balancer","numbers":[1,2,3,4,5]},`, 256))
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		b.Run(encoding, func(b *testing.B) {
			m := Compress{Encodings: []string{encoding}}.New(env())
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := &Request{Header: Header{{"Accept-Encoding", encoding}}}
				w := &Response{Status: 200, Length: int64(len(body)), Header: Header{{"Content-Type", "application/json"}}}
				m.Handle(b.Context(), r)
				r.Respond(w)
				to := w.Transforms()[0](&sink{})
				_, _ = to.Write(body)
				_ = to.Close()
			}
		})
	}
}
