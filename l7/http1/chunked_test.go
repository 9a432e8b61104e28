package http1_test

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/http1"
)

// decode reads body in pieces of a size; end is where the body ended, -1 where
// it did not.
func decode(body string, piece int) (data string, end int, err error) {
	var c http1.ChunkReader
	var out []byte
	at := 0
	for at < len(body) && !c.Done() {
		d, n, err := c.Next([]byte(body[at:min(at+piece, len(body))]))
		if err != nil {
			return string(out), -1, err
		}
		out = append(out, d...)
		at += n
	}
	if !c.Done() {
		at = -1
	}
	return string(out), at, nil
}

func TestChunked(t *testing.T) {
	long := strings.Repeat("x", 70000)
	for _, tc := range []struct {
		name, body, data string
		err              error
	}{
		{"empty", "0\r\n\r\n", "", nil},
		{"two chunks", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", nil},
		{"long chunk", "11170\r\n" + long + "\r\n0\r\n\r\n", long, nil},
		{"leading zeros", "0003\r\nabc\r\n000\r\n\r\n", "abc", nil},
		{"extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n", "abc", nil},
		{"quoted extension", "3;a=\"b c\"\r\nabc\r\n0\r\n\r\n", "abc", nil},
		{"trailers", "0\r\nA: b\r\nDigest:c\r\n\r\n", "", nil},
		{"data that looks like an end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n", nil},

		{"bare LF after size (CVE-2025-22871)", "3\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"bare LF in extension", "3;a\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"bare CR in extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"bare LF after data", "3\r\nabc\n0\r\n\r\n", "", http1.ErrChunk},
		{"no CRLF after data", "3\r\nabc0\r\n\r\n", "", http1.ErrChunk},
		{"bare LF at the end", "0\r\n\n", "", http1.ErrTrailer},
		{"CR CR at the end", "0\r\n\r\r", "", http1.ErrChunk},
		{"no size", "\r\nabc", "", http1.ErrChunk},
		{"only an extension", ";a\r\n", "", http1.ErrChunk},
		{"hex prefix", "0x3\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"negative", "-3\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"signed", "+3\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"underscore", "1_0\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"blank before size", " 3\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"blank after size", "3 \r\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"overflow", "ffffffffffffffff\r\nabc", "", http1.ErrChunk},
		{"overflow to three", "10000000000000003\r\nabc\r\n0\r\n\r\n", "", http1.ErrChunk},
		{"zeros without end", strings.Repeat("0", 300), "", http1.ErrChunk},
		{"extension without end (CVE-2023-39326)", "3;" + strings.Repeat("a", 300), "", http1.ErrChunk},
		{"trailers without end", "0\r\n" + strings.Repeat("a: b\r\n", 2000), "", http1.ErrTrailer},
		{"length in trailer", "0\r\nContent-Length: 3\r\n\r\n", "", http1.ErrTrailer},
		{"coding in trailer", "0\r\ntransfer-encoding: chunked\r\n\r\n", "", http1.ErrTrailer},
		{"host in trailer", "0\r\nHost: a\r\n\r\n", "", http1.ErrTrailer},
		{"alias in trailer", "0\r\nX_Forwarded_For_Somebody: a\r\n\r\n", "", http1.ErrTrailer},
		{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "", http1.ErrTrailer},
		{"blank before trailer's colon", "0\r\nA : b\r\n\r\n", "", http1.ErrTrailer},
		{"trailer without colon", "0\r\nA\r\n\r\n", "", http1.ErrTrailer},
		{"trailer without name", "0\r\n: a\r\n\r\n", "", http1.ErrTrailer},
		{"NUL in trailer", "0\r\nA: \x00\r\n\r\n", "", http1.ErrTrailer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 3, 7, 1 << 20} {
				data, end, err := decode(tc.body+"GET / HTTP/1.1", piece)
				if !errors.Is(err, tc.err) {
					t.Fatalf("pieces of %d: error %v, want %v", piece, err, tc.err)
				}
				if err == nil && (data != tc.data || end != len(tc.body)) {
					t.Fatalf("pieces of %d: got %q up to %d, want %q up to %d", piece, data, end, tc.data, len(tc.body))
				}
			}
		})
	}
}

// strip reads body in pieces of a size and returns what is passed on, up to an
// error.
func strip(body string, piece int) (out string, end int, err error) {
	var c http1.ChunkReader
	at := 0
	for at < len(body) && !c.Done() {
		b := []byte(body[at:min(at+piece, len(body))])
		size, n, err := c.Strip(b)
		out += string(b[:size])
		at += n
		if err != nil {
			return out, at, err
		}
	}
	return out, at, nil
}

func TestStrip(t *testing.T) {
	for in, want := range map[string]string{
		"3\r\nabc\r\n0\r\n\r\n":                             "3\r\nabc\r\n0\r\n\r\n",
		"3;a=\"b\";c\r\n;;;\r\n0;x\r\nA: ;b\r\n\r\n":        "3\r\n;;;\r\n0\r\nA: ;b\r\n\r\n",
		"1;\r\na\r\n2;;\r\nbc\r\n3\r\ndef\r\n00; x\r\n\r\n": "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n00\r\n\r\n",
	} {
		for _, piece := range []int{1, 2, 3, 5, 100} {
			got, end, err := strip(in+"next", piece)
			if err != nil || got != want || end != len(in) {
				t.Errorf("%q in pieces of %d: %q up to %d, %v; want %q", in, piece, got, end, err, want)
			}
		}
	}
}

// twin is the grammar of RFC 9112, section 7.1, as far as one chunk goes.
var (
	twinChunk = regexp.MustCompile(`^([0-9A-Fa-f]{1,15})(;[\t\x20-\x7e\x80-\xff]*)?\r\n`)
	twinEnd   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+:[\\t\\x20-\\x7e\\x80-\\xff]*\\r\\n)*\\r\\n")
)

// decodeTwin is the dumb decoder: ok is whether body starts with a whole one.
func decodeTwin(body []byte) (data []byte, end int, ok bool) {
	at := 0
	for {
		m := twinChunk.FindSubmatch(body[at:])
		if m == nil {
			return nil, 0, false
		}
		at += len(m[0])
		size, _ := strconv.ParseInt(string(m[1]), 16, 64)
		if size == 0 {
			tail := twinEnd.Find(body[at:])
			return data, at + len(tail), tail != nil
		}
		if size+2 > int64(len(body)-at) || string(body[at+int(size):at+int(size)+2]) != "\r\n" {
			return nil, 0, false
		}
		data = append(data, body[at:at+int(size)]...)
		at += int(size) + 2
	}
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("3;x\r\nabc\r\n0\r\nA: b\r\n\r\nrest"), 2)
	f.Add([]byte("5\r\nabc\r\n\r\n0\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		if bytes.ContainsFunc(b, func(r rune) bool { return r > 0x7F }) {
			return // the twin's regular expressions read UTF-8
		}
		piece = max(1, min(piece, len(b)+1))
		whole, wholeEnd, wholeErr := decode(string(b), len(b)+1)
		data, end, err := decode(string(b), piece)
		if data != whole && err == nil || end != wholeEnd || (err == nil) != (wholeErr == nil) {
			t.Fatalf("pieces of %d: %q up to %d (%v), whole %q up to %d (%v)", piece, data, end, err, whole, wholeEnd, wholeErr)
		}
		stripped, strippedEnd, serr := strip(string(b), piece)
		again, _, aerr := decode(stripped, len(b)+1)
		if (serr == nil) != (err == nil) || err == nil && (strippedEnd != len(b) && strippedEnd != end || again != data || aerr != nil) {
			t.Fatalf("%q up to %d (%v) is stripped to %q up to %d (%v), which is %q (%v)", data, end, err, stripped, strippedEnd, serr, again, aerr)
		}
		if stripped2, _, _ := strip(stripped, piece); stripped2 != stripped {
			t.Fatalf("%q is stripped to %q", stripped, stripped2)
		}
		want, wantEnd, ok := decodeTwin(b)
		if got := err == nil && end >= 0; got && (!ok || string(want) != data || wantEnd != end) {
			t.Fatalf("%q decodes to %q up to %d, twin %v %q up to %d", b, data, end, ok, want, wantEnd)
		} else if !got && ok && len(b) < 200 && !bytes.Contains(b[:wantEnd], []byte(":")) {
			// Bounds and forbidden trailers aside, the twin takes no more.
			t.Fatalf("%q refused: %v", b, err)
		}
	})
}
