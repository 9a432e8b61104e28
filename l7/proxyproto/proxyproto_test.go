package proxyproto_test

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/proxyproto"
)

const sig = "\r\n\r\n\x00\r\nQUIT\n"

func header(source, destination string) proxyproto.Header {
	return proxyproto.Header{Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

var (
	four = header("192.0.2.1:40000", "198.51.100.1:80")
	six  = header("[2001:db8::1]:40000", "[2001:db8::2]:443")
)

// binary4 are the addresses of four as version 2 has them.
const binary4 = "\xc0\x00\x02\x01\xc6\x33\x64\x01\x9c\x40\x00\x50"

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     proxyproto.Header
		err      error
	}{
		{name: "TCP4", in: "PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n", want: four},
		{name: "TCP6", in: "PROXY TCP6 2001:db8::1 2001:db8::2 40000 443\r\n", want: six},
		{name: "unknown", in: "PROXY UNKNOWN\r\n"},
		{name: "unknown with addresses", in: "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"},
		{name: "longest text", in: "PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n"},
		{name: "text too long", in: "PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", err: proxyproto.ErrLong},
		{name: "line without end", in: "PROXY UNKNOWN " + strings.Repeat("f", 200), err: proxyproto.ErrLong},
		{name: "bare LF", in: "PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\n", err: proxyproto.ErrMalformed},
		{name: "two spaces", in: "PROXY TCP4  192.0.2.1 198.51.100.1 40000 80\r\n", err: proxyproto.ErrMalformed},
		{name: "trailing space", in: "PROXY TCP4 192.0.2.1 198.51.100.1 40000 80 \r\n", err: proxyproto.ErrMalformed},
		{name: "missing port", in: "PROXY TCP4 192.0.2.1 198.51.100.1 40000\r\n", err: proxyproto.ErrMalformed},
		{name: "port with zero", in: "PROXY TCP4 192.0.2.1 198.51.100.1 040000 80\r\n", err: proxyproto.ErrMalformed},
		{name: "port with sign", in: "PROXY TCP4 192.0.2.1 198.51.100.1 +40000 80\r\n", err: proxyproto.ErrMalformed},
		{name: "port too large", in: "PROXY TCP4 192.0.2.1 198.51.100.1 65536 80\r\n", err: proxyproto.ErrMalformed},
		{name: "other family", in: "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", err: proxyproto.ErrMalformed},
		{name: "zone", in: "PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n", err: proxyproto.ErrMalformed},
		{name: "UDP", in: "PROXY UDP4 192.0.2.1 198.51.100.1 40000 80\r\n", err: proxyproto.ErrMalformed},
		{name: "lower case", in: "proxy TCP4 192.0.2.1 198.51.100.1 40000 80\r\n", err: proxyproto.ErrMissing},
		{name: "a request", in: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", err: proxyproto.ErrMissing},
		{name: "a request that begins alike", in: "PROXYME / HTTP/1.1\r\n\r\n", err: proxyproto.ErrMissing},

		{name: "binary", in: sig + "\x21\x11\x00\x0c" + binary4, want: four},
		{name: "binary, IPv6", in: string(proxyproto.Append2(nil, six)), want: six},
		{name: "local", in: sig + "\x20\x00\x00\x00"},
		{name: "local with anything", in: sig + "\x20\x11\x00\x03abc"},
		{name: "no family", in: sig + "\x21\x00\x00\x00"},
		{name: "UNIX", in: sig + "\x21\x31\x00\xd8" + strings.Repeat("\x00", 216)},
		{name: "extension", in: sig + "\x21\x11\x00\x11" + binary4 + "\x01\x00\x02h2", want: four},
		{name: "checksum", in: sig + "\x21\x11\x00\x13" + binary4 + "\x03\x00\x04\x50\xf2\xc7\x6d", want: four},
		{name: "wrong checksum", in: sig + "\x21\x11\x00\x13" + binary4 + "\x03\x00\x04\x50\xf2\xc7\x6e", err: proxyproto.ErrChecksum},
		{name: "short checksum", in: sig + "\x21\x11\x00\x10" + binary4 + "\x03\x00\x01\xd4", err: proxyproto.ErrMalformed},
		{name: "torn extension", in: sig + "\x21\x11\x00\x0e" + binary4 + "\x01\x00", err: proxyproto.ErrMalformed},
		{name: "extension beyond the end", in: sig + "\x21\x11\x00\x10" + binary4 + "\x01\x00\x02h", err: proxyproto.ErrMalformed},
		{name: "short addresses", in: sig + "\x21\x11\x00\x0b" + binary4[:11], err: proxyproto.ErrMalformed},
		{name: "version 3", in: sig + "\x31\x11\x00\x0c" + binary4, err: proxyproto.ErrMalformed},
		{name: "other command", in: sig + "\x22\x11\x00\x0c" + binary4, err: proxyproto.ErrMalformed},
		{name: "too long", in: sig + "\x21\x11\xff\xff" + binary4, err: proxyproto.ErrLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			behind := "GET / HTTP/1.1\r\n"
			h, n, err := proxyproto.Parse([]byte(c.in + behind))
			if h != c.want || !errors.Is(err, c.err) || err == nil && n != len(c.in) {
				t.Fatalf("got %v, %d bytes, %v; want %v, %d bytes, %v", h, n, err, c.want, len(c.in), c.err)
			}
			if c.err != nil {
				return
			}
			for i := range c.in { // it may come in pieces
				if _, n, err := proxyproto.Parse([]byte(c.in[:i])); n != 0 || err != nil {
					t.Fatalf("the first %d bytes: %d, %v", i, n, err)
				}
			}
		})
	}
}

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		h    proxyproto.Header
		text string
	}{
		{four, "PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n"},
		{six, "PROXY TCP6 2001:db8::1 2001:db8::2 40000 443\r\n"},
		{proxyproto.Header{}, "PROXY UNKNOWN\r\n"},
		{proxyproto.Header{Source: four.Source, Destination: six.Destination}, "PROXY UNKNOWN\r\n"},
		{header("[::ffff:192.0.2.1]:40000", "198.51.100.1:80"), "PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n"},
	} {
		if got := string(proxyproto.Append1(nil, c.h)); got != c.text {
			t.Errorf("%v as text: %q, want %q", c.h, got, c.text)
		}
		text, _, _ := proxyproto.Parse([]byte(c.text))
		if got, n, err := proxyproto.Parse(proxyproto.Append2(nil, c.h)); got != text || n == 0 || err != nil {
			t.Errorf("%v in binary is read as %v, %d bytes, %v", c.h, got, n, err)
		}
	}
}

// FuzzParse: no input is read beyond its end, an answer does not depend on
// what follows, and what was understood can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\nGET"))
	f.Add(proxyproto.Append2(nil, six))
	f.Add([]byte(sig + "\x21\x11\x00\x13" + binary4 + "\x03\x00\x04\x50\xf2\xc7\x6d"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := proxyproto.Parse(b)
		if n < 0 || n > len(b) || n > proxyproto.Longest || err != nil && n != 0 {
			t.Fatalf("%d of %d bytes, %v", n, len(b), err)
		}
		if n == 0 {
			return
		}
		again, m, err := proxyproto.Parse(append(bytes.Clone(b[:n]), 'x'))
		if again != h || m != n || err != nil {
			t.Fatalf("%v, %d bytes; then %v, %d bytes, %v", h, n, again, m, err)
		}
		for _, out := range [][]byte{proxyproto.Append1(nil, h), proxyproto.Append2(nil, h)} {
			if _, k, err := proxyproto.Parse(out); k != len(out) || err != nil {
				t.Fatalf("%q is read as %d bytes, %v", out, k, err)
			}
		}
	})
}
