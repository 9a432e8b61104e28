package route_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/route"
)

func TestCanonicalHost(t *testing.T) {
	long := strings.Repeat("a.", 126) + "aa" // 254 bytes
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"example.com", "example.com"},
		{"EXAMPLE.Com:8080", "example.com"},
		{"example.com.", "example.com"},
		{"example.com.:443", "example.com"},
		{"example.com:", "example.com"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"my_service.example", "my_service.example"},
		{"192.0.2.1:80", "192.0.2.1"},
		{"[2001:DB8:0::1]:80", "[2001:db8::1]"},
		{"[::FFFF:192.0.2.1]", "[::ffff:192.0.2.1]"},
		{long[:253], long[:253]},
	} {
		got, err := route.CanonicalHost(nil, []byte(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{
		".", "..", "a..b", ".a", "a..", ":80", "a:b", "a:80:81", "a:65536", "a:-1", "a b", "a/b", "u@h", "*.example.com",
		"a,b", "bücher.example", "a%41", "a\x00", "2001:db8::1", "[192.0.2.1]", "[::1", "[::1]x", "[::1]:x", "[fe80::1%25eth0]",
		"[fe80::1%eth0]", "[v1.a]", "[]", long,
	} {
		if got, err := route.CanonicalHost([]byte("kept"), []byte(in)); err == nil || string(got) != "kept" {
			t.Errorf("%q: got %q, %v, want an error", in, got, err)
		}
	}
}

func TestCanonicalPath(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "/"},
		{"/", "/"},
		{"/a/b", "/a/b"},
		{"/a/b/", "/a/b/"},
		{"/Case/Kept", "/Case/Kept"},
		{"//a///b//", "/a/b/"},
		{"/a/./b", "/a/b"},
		{"/a/.", "/a/"},
		{"/a/..", "/"},
		{"/a/b/..", "/a/"},
		{"/a/b/../c", "/a/c"},
		{"/a/%2e%2E/c", "/c"},
		{"/a/.%2e/c", "/c"},
		{"/%2e/a", "/a"},
		{"/../../a", "/a"},
		{"/a//../b", "/b"},
		{"/a/...", "/a/..."},
		{"/.well-known/x", "/.well-known/x"},
		{"/..a/.b.", "/..a/.b."},
		{"/%41%7a%30%2d%2E%5f%7E", "/Az0-._~"},
		{"/a%2fb", "/a%2Fb"},
		{"/group%2Fproject", "/group%2Fproject"},
		{"/a%5cb", "/a%5Cb"},
		{"/a%3bb;c", "/a%3Bb;c"},
		{"/a%3fb%23c%25d%20e", "/a%3Fb%23c%25d%20e"},
		{"/%252e%252e/a", "/%252e%252e/a"},
		{"/a%2bb+c", "/a%2Bb+c"},
		{"/%c3%bc", "/%C3%BC"},
		{"/[slug]^|", "/%5Bslug%5D%5E%7C"},
		{"/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~"},
		{"/a%0Ab", "/a%0Ab"},
		{"/....%2f", "/....%2F"},
		{"/a..;b", "/a..;b"},
		{"/a..%2Fb..", "/a..%2Fb.."},
	} {
		got, err := route.CanonicalPath([]byte("x"), []byte(tt.in))
		if err != nil || string(got) != "x"+tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.in, got, err, "x"+tt.want)
		}
	}
	for _, in := range []string{
		"a", "*", "?", "/a?b", "/a#b", `/a\b`, `/..\a`, "/a b", "/a\tb", "/a\x00", "/a\x7f", "/ü", `/"`, "/<", "/{a}", "/`",
		"/%", "/%4", "/%zz", "/%4g", "/a%00", "/a/%00/b",
		"/..%2fa", "/..%2Fa", "/a/..%5Ca", "/a%2f..", "/a%2F..%2Fb", "/a%5c..%5cb", "/%2e%2e%2fa", "/.%2Fa", "/a%2F.",
		"/..;/a", "/..;x=1/a", "/.;/a", "/a/..%3b/b", "/a%2F..;b",
	} {
		if got, err := route.CanonicalPath([]byte("kept"), []byte(in)); err == nil || string(got) != "kept" {
			t.Errorf("%q: got %q, %v, want an error", in, got, err)
		}
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{"/", "//a/../b", "/%2e%2e/x", "/..%2f", "/a;b/..;/c", "/%5B[", "/a/%2E/", "/a%", "/a%2F%2E%2E"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := route.CanonicalPath(nil, in)
		if err != nil {
			return
		}
		if got[0] != '/' || bytes.Contains(got, []byte("//")) || len(got) > 3*len(in)+1 {
			t.Fatalf("%q became %q", in, got)
		}
		// What a backend that decodes everything and takes \ for / would walk.
		seen := strings.NewReplacer("%2F", "/", "%5C", "/", "%2E", ".", "%3B", ";").Replace(string(got))
		for elem := range strings.SplitSeq(seen, "/") {
			if elem, _, _ = strings.Cut(elem, ";"); elem == "." || elem == ".." {
				t.Fatalf("%q became %q, which holds a dot segment", in, got)
			}
		}
		again, err := route.CanonicalPath(nil, got)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q became %q, then %q (%v)", in, got, again, err)
		}
	})
}

func FuzzCanonicalHost(f *testing.F) {
	for _, s := range []string{"", "Example.COM.:80", "[::1]:80", "a..b", "[::ffff:1.2.3.4]", "a:"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := route.CanonicalHost(nil, in)
		if err != nil {
			return
		}
		if !bytes.Equal(got, bytes.ToLower(got)) || bytes.ContainsAny(got, "*/ @%") {
			t.Fatalf("%q became %q", in, got)
		}
		again, err := route.CanonicalHost(nil, got)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q became %q, then %q (%v)", in, got, again, err)
		}
	})
}

func TestCanonicalAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 256)
	host, path := []byte("WWW.Example.COM.:8080"), []byte("/a//b/%2e%2e/%7euser/../[x]%2fy")
	if n := testing.AllocsPerRun(100, func() {
		b, err1 := route.CanonicalHost(buf[:0], host)
		_, err2 := route.CanonicalPath(b, path)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkCanonicalPath(b *testing.B) {
	buf, path := make([]byte, 0, 256), []byte("/api/v1/accounts/12345/orders")
	for b.Loop() {
		if _, err := route.CanonicalPath(buf, path); err != nil {
			b.Fatal(err)
		}
	}
}
