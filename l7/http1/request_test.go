package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/http1"
)

// head makes a head of lines.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func parseRequest(s string) (*http1.Request, error) {
	var r http1.Request
	b := []byte(s)
	if end := http1.HeadEnd(b, 0); end != len(b) {
		if err := http1.Partial(b, 0, http1.DefaultLimits); err != nil {
			return nil, err
		}
		return nil, errors.New("not whole")
	}
	return &r, r.Parse(b, http1.DefaultLimits)
}

func TestRequestAccepted(t *testing.T) {
	long := strings.Repeat("x", 8000)
	for _, tc := range []struct {
		name, head          string
		method              http1.Method
		path, query, host   string
		framing             http1.Framing
		length              int64
		keep, upgrade, wait bool
	}{
		{name: "plain", head: head("GET /a?b HTTP/1.1", "Host: h"), method: http1.GET, path: "/a", query: "?b", host: "h", keep: true},
		{name: "no blank after colon", head: head("GET / HTTP/1.1", "Host:h"), method: http1.GET, path: "/", host: "h", keep: true},
		{name: "blanks around value", head: head("GET / HTTP/1.1", "Host: \t h \t"), method: http1.GET, path: "/", host: "h", keep: true},
		{name: "empty host", head: head("GET / HTTP/1.1", "Host:"), method: http1.GET, path: "/", keep: true},
		{name: "any method", head: head("PURGE / HTTP/1.1", "Host: h"), path: "/", host: "h", keep: true},
		{name: "method is case-sensitive", head: head("get / HTTP/1.1", "Host: h"), path: "/", host: "h", keep: true},
		{name: "long target", head: head("GET /"+long+" HTTP/1.1", "Host: h"), method: http1.GET, path: "/" + long, host: "h", keep: true},
		{name: "close", head: head("GET / HTTP/1.1", "Host: h", "Connection: Close"), method: http1.GET, path: "/", host: "h"},
		{name: "close in a list", head: head("GET / HTTP/1.1", "Host: h", "Connection: foo, ,close"), method: http1.GET, path: "/", host: "h"},
		{name: "1.0", head: head("GET / HTTP/1.0"), method: http1.GET, path: "/"},
		{name: "1.0 keep-alive", head: head("GET / HTTP/1.0", "Connection: keep-alive"), method: http1.GET, path: "/", keep: true},
		{name: "length", head: head("POST / HTTP/1.1", "Host: h", "content-length: 12"), method: http1.POST, path: "/", host: "h", framing: http1.Length, length: 12, keep: true},
		{name: "chunked", head: head("POST / HTTP/1.1", "Host: h", "Transfer-Encoding: Chunked"), method: http1.POST, path: "/", host: "h", framing: http1.Chunked, keep: true},
		{name: "absolute", head: head("GET http://other:8080/a?b HTTP/1.1", "Host: h"), method: http1.GET, path: "/a", query: "?b", host: "other:8080", keep: true},
		{name: "absolute without path", head: head("GET HTTPS://other?b HTTP/1.1", "Host: h"), method: http1.GET, query: "?b", host: "other", keep: true},
		{name: "asterisk", head: head("OPTIONS * HTTP/1.1", "Host: h"), method: http1.OPTIONS, path: "*", host: "h", keep: true},
		{name: "colon in the query", head: head("GET /?u=http://x/ HTTP/1.1", "Host: h"), method: http1.GET, path: "/", query: "?u=http://x/", host: "h", keep: true},
		{name: "bytes above 7F", head: head("GET /?q=\xc3\xa4 HTTP/1.1", "Host: h", "X: \xe4"), method: http1.GET, path: "/", query: "?q=\xc3\xa4", host: "h", keep: true},
		{name: "upgrade", head: head("GET / HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: websocket"), method: http1.GET, path: "/", host: "h", keep: true, upgrade: true},
		{name: "no upgrade in 1.0", head: head("GET / HTTP/1.0", "Connection: Upgrade", "Upgrade: websocket"), method: http1.GET, path: "/"},
		{name: "expect", head: head("PUT / HTTP/1.1", "Host: h", "Content-Length: 1", "Expect: 100-Continue"), method: http1.PUT, path: "/", host: "h", framing: http1.Length, length: 1, keep: true, wait: true},
		{name: "no expect in 1.0", head: head("PUT / HTTP/1.0", "Content-Length: 1", "Expect: 100-continue"), method: http1.PUT, path: "/", framing: http1.Length, length: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := parseRequest(tc.head)
			if err != nil {
				t.Fatal(err)
			}
			b := []byte(tc.head)
			for what, v := range map[string][2]any{
				"method":  {r.Method, tc.method},
				"path":    {string(r.Path.Of(b)), tc.path},
				"query":   {string(r.Query.Of(b)), tc.query},
				"host":    {string(r.Host.Of(b)), tc.host},
				"framing": {r.Framing, tc.framing},
				"length":  {r.Length, tc.length},
				"keep":    {r.KeepAlive, tc.keep},
				"upgrade": {r.UpgradeOption, tc.upgrade},
				"expect":  {r.Expect, tc.wait},
			} {
				if v[0] != v[1] {
					t.Errorf("%s: got %v, want %v", what, v[0], v[1])
				}
			}
		})
	}
}

// TestRequestRefused has a row for each way in which two readers of a request
// have been made to disagree.
func TestRequestRefused(t *testing.T) {
	const host = "Host: h"
	for _, tc := range []struct {
		name, head string
		want       *http1.Error
	}{
		// Framing.
		{"length and coding", head("POST / HTTP/1.1", host, "Content-Length: 3", "Transfer-Encoding: chunked"), http1.ErrFraming},
		{"coding and length", head("POST / HTTP/1.1", host, "Transfer-Encoding: chunked", "Content-Length: 3"), http1.ErrFraming},
		{"two lengths", head("POST / HTTP/1.1", host, "Content-Length: 3", "Content-Length: 4"), http1.ErrLength},
		{"two equal lengths", head("POST / HTTP/1.1", host, "Content-Length: 3", "Content-Length: 3"), http1.ErrLength},
		{"empty length", head("POST / HTTP/1.1", host, "Content-Length:"), http1.ErrLength},
		{"length list", head("POST / HTTP/1.1", host, "Content-Length: 3, 3"), http1.ErrLength},
		{"negative length", head("POST / HTTP/1.1", host, "Content-Length: -3"), http1.ErrLength},
		{"signed length", head("POST / HTTP/1.1", host, "Content-Length: +3"), http1.ErrLength},
		{"hex length", head("POST / HTTP/1.1", host, "Content-Length: 0x3"), http1.ErrLength},
		{"length with underscore", head("POST / HTTP/1.1", host, "Content-Length: 1_0"), http1.ErrLength},
		{"overflowing length", head("POST / HTTP/1.1", host, "Content-Length: 18446744073709551617"), http1.ErrLength},
		{"length with GET (CVE-2024-28869)", head("GET / HTTP/1.1", host, "Content-Length: x"), http1.ErrLength},
		{"two codings", head("POST / HTTP/1.1", host, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), http1.ErrCoding},
		{"coding list", head("POST / HTTP/1.1", host, "Transfer-Encoding: gzip, chunked"), http1.ErrCoding},
		{"chunked not last", head("POST / HTTP/1.1", host, "Transfer-Encoding: chunked, identity"), http1.ErrCoding},
		{"chunked twice (CVE-2022-1705)", head("POST / HTTP/1.1", host, "Transfer-Encoding: chunked, chunked"), http1.ErrCoding},
		{"identity", head("POST / HTTP/1.1", host, "Transfer-Encoding: identity"), http1.ErrCoding},
		{"xchunked", head("POST / HTTP/1.1", host, "Transfer-Encoding: xchunked"), http1.ErrCoding},
		{"empty coding", head("POST / HTTP/1.1", host, "Transfer-Encoding:"), http1.ErrCoding},
		{"quoted coding", head("POST / HTTP/1.1", host, "Transfer-Encoding: \"chunked\""), http1.ErrCoding},
		{"coding with parameter", head("POST / HTTP/1.1", host, "Transfer-Encoding: chunked;q=1"), http1.ErrCoding},
		{"vertical tab before chunked", head("POST / HTTP/1.1", host, "Transfer-Encoding: \vchunked"), http1.ErrFieldValue},
		{"coding in HTTP/1.0", head("POST / HTTP/1.0", host, "Transfer-Encoding: chunked"), http1.ErrCoding},
		// Field lines.
		{"blank before colon (CVE-2019-16276)", head("POST / HTTP/1.1", host, "Transfer-Encoding : chunked"), http1.ErrFieldName},
		{"tab before colon", head("POST / HTTP/1.1", host, "Content-Length\t: 3"), http1.ErrFieldName},
		{"empty name (CVE-2023-25725)", head("POST / HTTP/1.1", host, ": x"), http1.ErrFieldName},
		{"no colon", head("POST / HTTP/1.1", host, "Content-Length"), http1.ErrFieldName},
		{"folded value", head("POST / HTTP/1.1", host, "A: b", " c"), http1.ErrFold},
		{"folded name", head("POST / HTTP/1.1", host, "A: b", "\tTransfer-Encoding: chunked"), http1.ErrFold},
		{"first line folded", head("POST / HTTP/1.1", " Host: h"), http1.ErrFold},
		{"NUL in value", head("GET / HTTP/1.1", host, "A: b\x00c"), http1.ErrFieldValue},
		{"CR in value", head("GET / HTTP/1.1", host, "A: b\rTransfer-Encoding: chunked"), http1.ErrFieldValue},
		{"DEL in value", head("GET / HTTP/1.1", host, "A: 0123456789\x7f"), http1.ErrFieldValue},
		{"NUL in name", head("GET / HTTP/1.1", host, "A\x00B: c"), http1.ErrFieldName},
		{"byte above 7F in name", head("GET / HTTP/1.1", host, "Content-Length\xa0: 3"), http1.ErrFieldName},
		{"slash in name", head("GET / HTTP/1.1", host, "A/B: c"), http1.ErrFieldName},
		{"bare LF", "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", http1.ErrBareLF},
		{"bare LF after request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", http1.ErrBareLF},
		{"bare LF at the end", "GET / HTTP/1.1\nHost: h\n\n", http1.ErrBareLF},
		{"LF LF after CRLF", "GET / HTTP/1.1\r\nHost: h\r\n\n", http1.ErrBareLF},
		// Request line.
		{"no version", head("GET /", host), http1.ErrRequestLine},
		{"HTTP/0.9 hidden", head("GET / HTTP/1.1 HTTP/1.1", host), http1.ErrTarget},
		{"HTTP/1.2", head("GET / HTTP/1.2", host), http1.ErrVersion},
		{"HTTP/2.0", head("PRI * HTTP/2.0", host), http1.ErrVersion},
		{"lower-case version", head("GET / http/1.1", host), http1.ErrRequestLine},
		{"long version", head("GET / HTTP/1.10", host), http1.ErrRequestLine},
		{"blank at the start", head(" GET / HTTP/1.1", host), http1.ErrRequestLine},
		{"two blanks", head("GET  / HTTP/1.1", host), http1.ErrTarget},
		{"blank at the end", head("GET / HTTP/1.1 ", host), http1.ErrTarget},
		{"tab between", head("GET\t/ HTTP/1.1", host), http1.ErrRequestLine},
		{"only a method", head("GET", host), http1.ErrRequestLine},
		{"empty target", head("GET  HTTP/1.1", host), http1.ErrRequestLine},
		{"method no token", head("GE(T / HTTP/1.1", host), http1.ErrRequestLine},
		{"fragment (CVE-2023-47106)", head("GET /a#/../b HTTP/1.1", host), http1.ErrTarget},
		{"control byte in target", head("GET /a\x01 HTTP/1.1", host), http1.ErrTarget},
		{"relative target", head("GET a HTTP/1.1", host), http1.ErrTarget},
		{"asterisk with GET", head("GET * HTTP/1.1", host), http1.ErrTarget},
		{"other scheme", head("GET ftp://h/ HTTP/1.1", host), http1.ErrTarget},
		{"user information", head("GET http://a@b/ HTTP/1.1", host), http1.ErrTarget},
		{"no authority", head("GET http:///a HTTP/1.1", host), http1.ErrTarget},
		// Host.
		{"no host", head("GET / HTTP/1.1"), http1.ErrHost},
		{"no host beside an absolute target", head("GET http://h/ HTTP/1.1"), http1.ErrHost},
		{"two hosts", head("GET / HTTP/1.1", host, "Host: i"), http1.ErrHost},
		{"two equal hosts", head("GET / HTTP/1.1", host, host), http1.ErrHost},
		{"two hosts in HTTP/1.0", head("GET / HTTP/1.0", host, host), http1.ErrHost},
		// Connection.
		{"option no token", head("GET / HTTP/1.1", host, "Connection: a b"), http1.ErrOptions},
		{"many options", head("GET / HTTP/1.1", host, "Connection: "+strings.Repeat("a,", 40)), http1.ErrOptions},
		// Size.
		{"long line", head("GET /"+strings.Repeat("a", 17<<10)+" HTTP/1.1", host), http1.ErrLineLong},
		{"many fields", head("GET / HTTP/1.1", host, strings.Repeat("a: b\r\n", 200)+"c: d"), http1.ErrFields},
		{"large head", head("GET / HTTP/1.1", host, "a: "+strings.Repeat("b", 65<<10)), http1.ErrHeadLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := parseRequest(tc.head); err != tc.want {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestPartial refuses what no further byte can mend.
func TestPartial(t *testing.T) {
	lim := http1.Limits{Head: 64, Line: 16, Fields: 4}
	for _, tc := range []struct {
		name, have string
		searched   int
		want       error
	}{
		{"nothing", "", 0, nil},
		{"a start", "GET / HT", 0, nil},
		{"CR at the end", "GET /\r", 0, nil},
		{"LF whose CR was seen before", "GET /\r\nA", 6, nil},
		{"bare LF", "GET /\nA", 0, http1.ErrBareLF},
		{"bare LF first", "\nA", 0, http1.ErrBareLF},
		{"second line bare", "GET /\r\nA: b\n", 7, http1.ErrBareLF},
		{"long line", "GET /0123456789abc", 0, http1.ErrLineLong},
		{"large head", "GET /\r\nA: " + strings.Repeat("b", 60), 0, http1.ErrHeadLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := http1.Partial([]byte(tc.have), tc.searched, lim); err != tc.want {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestDropped(t *testing.T) {
	for _, tc := range []struct{ name, fields, want string }{
		{"nothing", "Accept: a", ""},
		{"hop-by-hop fields", "Connection: close\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: a\r\nHTTP2-Settings: b\r\nProxy: c\r\nAccept: a",
			"Connection Keep-Alive Proxy-Connection TE Upgrade HTTP2-Settings Proxy"},
		{"named fields", "A: 1\r\nConnection: a, B\r\nb: 2\r\nC: 3\r\na: 4", "A Connection b a"},
		{"named before and after", "Connection: a\r\nA: 1\r\nConnection: b\r\nB: 1", "Connection A Connection B"},
		{"never the host", "Connection: host", "Connection"},
		{"never the framing", "Connection: content-length\r\nContent-Length: 3", "Connection"},
		{"never the coding", "Connection: transfer-encoding\r\nTransfer-Encoding: chunked", "Connection"},
		{"never who asked (CVE-2024-45410)", "Connection: X-Forwarded-For, x-real-ip, X-Forwarded-Tls, Forwarded\r\nX-Forwarded-For: 1\r\nX-Real-Ip: 2\r\nX-Forwarded-Tls: 3\r\nForwarded: 4", "Connection"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := head("POST / HTTP/1.1", "Host: h", tc.fields)
			r, err := parseRequest(s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range r.Fields {
				if f.Drop {
					got = append(got, string(f.Name.Of([]byte(s))))
				}
			}
			if g := strings.Join(got, " "); g != tc.want || len(got) != r.Dropped {
				t.Errorf("dropped %q (%d), want %q", g, r.Dropped, tc.want)
			}
		})
	}
}

func TestKinds(t *testing.T) {
	for name, want := range map[string]http1.Kind{
		"hoST":                      http1.Host,
		"Content-Length":            http1.ContentLength,
		"Content_Length":            http1.Alias,
		"content_length":            http1.Alias,
		"Transfer_Encoding":         http1.Alias,
		"X-Forwarded_For":           http1.Alias,
		"X_FORWARDED_anything_long": http1.Alias,
		"X_Real_IP":                 http1.Alias,
		"x-forwarded-for":           http1.XForwardedFor,
		"X-Forwarded-Proto":         http1.XForwardedProto,
		"X-Forwarded-Host":          http1.XForwardedHost,
		"X-Forwarded-Port":          http1.XForwardedPort,
		"X-Forwarded-Prefix":        http1.XForwarded,
		"X-Forwarded-Tls-Client":    http1.XForwarded,
		"X-Forwarded":               http1.Other,
		"Forwarded":                 http1.Forwarded,
		"my_field":                  http1.Other,
		"X\x0dReal\x0dIp":           http1.Other,
		"Connection":                http1.Connection,
	} {
		s := head("GET / HTTP/1.0", name+": 1")
		r, err := parseRequest(s)
		if strings.Contains(name, "\r") {
			if err == nil {
				t.Errorf("%q accepted", name)
			}
			continue
		}
		if err != nil && want != http1.Alias {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := r.Fields[0].Kind; got != want {
			t.Errorf("%s: kind %d, want %d", name, got, want)
		}
	}
}

func TestRequestAllocatesNothing(t *testing.T) {
	b := []byte(head("GET /a?b HTTP/1.1", "Host: h", "Accept: */*", "User-Agent: x", "Connection: keep-alive"))
	var r http1.Request
	if n := testing.AllocsPerRun(100, func() {
		if err := r.Parse(b[:http1.HeadEnd(b, 0)], http1.DefaultLimits); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRequest compares with net/http, which is laxer: what passes here passes
// there, and means the same.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(head("GET /a?b HTTP/1.1", "Host: h", "Connection: close, x", "X: y")))
	f.Add([]byte(head("POST http://h/ HTTP/1.1", "Host: h", "Content-Length: 3")))
	f.Add([]byte(head("POST / HTTP/1.0", "Content_Length: 3")))
	f.Add([]byte(head("PUT / HTTP/1.1", "Host: [::1]:80", "Transfer-Encoding: chunked", "Expect: 100-continue")))
	f.Fuzz(func(t *testing.T, b []byte) {
		end := http1.HeadEnd(b, 0)
		for n := range b { // found at once or byte by byte
			if e := http1.HeadEnd(b[:n], max(0, n-1)); e > 0 {
				if e != end || e != n {
					t.Fatalf("head ends at %d after %d bytes, at %d in one", e, n, end)
				}
				break
			}
		}
		var r http1.Request
		if end == 0 || r.Parse(b[:end], http1.DefaultLimits) != nil {
			return
		}
		at := r.FieldsStart
		for _, f := range r.Fields {
			if int(f.Name.Start) != at || f.Value.Start <= f.Name.End || f.Value.Start > f.Value.End || f.Value.End > f.End-2 {
				t.Fatalf("field %+v starts at %d of %q", f, at, b[:end])
			}
			at = int(f.End)
		}
		if at != end-2 || r.Size != end {
			t.Fatalf("fields end at %d of %d", at, end)
		}
		twin, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:end])))
		if err != nil {
			// net/http parses targets and hosts as URLs, which are made
			// canonical elsewhere here.
			if strings.Contains(err.Error(), "parse \"") || strings.Contains(err.Error(), "Host") || r.Method == http1.CONNECT {
				return
			}
			t.Fatalf("net/http refuses %q: %v", b[:end], err)
		}
		length := max(twin.ContentLength, 0)
		if twin.Method != string(r.MethodName.Of(b)) || twin.RequestURI != string(r.Target.Of(b)) ||
			(len(twin.TransferEncoding) > 0) != (r.Framing == http1.Chunked) || length != r.Length {
			t.Fatalf("%q: got %+v, net/http %+v", b[:end], r, twin)
		}
		if r.Form != http1.Absolute && twin.Host != string(r.Host.Of(b)) {
			t.Fatalf("host %q, net/http %q", r.Host.Of(b), twin.Host)
		}
	})
}
