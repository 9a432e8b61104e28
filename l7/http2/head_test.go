package http2

import (
	"fmt"
	"strings"
	"testing"
)

// TestHead is what is made of header fields, and which make a request
// malformed (RFC 9113, sections 8.1 to 8.5).
func TestHead(t *testing.T) {
	const basic = ":method: GET|:scheme: https|:authority: example.com|:path: /a"
	settings := Settings{MaxHeaderList: 1000, MaxFields: 5}.normal()
	for _, tt := range []struct {
		fields string // lines apart by "|"
		want   string // "!" and the reason, or what came of it
	}{
		{basic, "GET https example.com /a"},
		{basic + "|accept: a|accept: b", "GET https example.com /a|accept: a|accept: b"},
		{basic + "|cookie: a=b|x: y|cookie: c=d|cookie: e=f", "GET https example.com /a|x: y|cookie: a=b; c=d; e=f"},
		{basic + "|te: trailers", "GET https example.com /a|te: trailers"},
		{basic + "|content-length: 0", "GET https example.com /a|content-length: 0"},
		{basic + "|x: a\tb\x80", "GET https example.com /a|x: a\tb\x80"},
		{basic + "|x: ", "GET https example.com /a|x: "},
		{":method: GET|:scheme: https|:path: /|host: a.b", "GET https a.b /"},
		{":method: GET|:scheme: https|:path: /", "GET https  /"},
		{basic + "|host: Example.com", "GET https example.com /a"},
		{":method: OPTIONS|:scheme: https|:path: *", "OPTIONS https  *"},
		{":method: CONNECT|:authority: a:443", "CONNECT  a:443 "},
		{":method: CONNECT|:protocol: websocket|:scheme: https|:path: /|:authority: a", "CONNECT https a / websocket"},

		{"", "!method"},
		{":scheme: https|:path: /", "!method"},
		{":method: G T|:scheme: https|:path: /", "!method"},
		{":method: GET|:path: /", "!scheme"},
		{":method: GET|:scheme: ht tp|:path: /", "!scheme"},
		{":method: GET|:scheme: https", "!path"},
		{":method: GET|:scheme: https|:path: ", "!path"},
		{":method: GET|:scheme: https|:path: a", "!path"},
		{":method: GET|:scheme: https|:path: *", "!path"},
		{":method: CONNECT|:authority: a|:path: /", "!target of connect"},
		{":method: CONNECT", "!target of connect"},
		{":method: GET|:protocol: websocket|:scheme: https|:path: /|:authority: a", "!protocol"},
		{basic + "|:path: /b", "!pseudo-header field twice"},
		{":path: |:path: /b", "!pseudo-header field twice"},
		{":status: 200", "!unknown pseudo-header field"},
		{"x: y|" + basic, "!pseudo-header field behind others"},
		{"cookie: y|" + basic, "!pseudo-header field behind others"},
		{"host: y|" + basic, "!pseudo-header field behind others"},
		{basic + "|host: evil.com", "!host other than :authority"},
		{basic + "|host: ", "!host other than :authority"},
		{basic + "|host: example.com|host: example.com", "!several host fields"},
		{basic + "|X: y", "!field name"},
		{basic + "|a b: y", "!field name"},
		{basic + "|: y", "!field name"},
		{basic + "|é: y", "!field name"},
		{basic + "|x: a\nb", "!field value"},
		{basic + "|x: a\rb", "!field value"},
		{basic + "|x: a\x00b", "!field value"},
		{basic + "|x:  a", "!field value"},
		{basic + "|x: a\t", "!field value"},
		{":method: GET|:scheme: https|:path: /a\r\n", "!field value"},
		{basic + "|connection: close", "!field of a connection"},
		{basic + "|transfer-encoding: chunked", "!field of a connection"},
		{basic + "|upgrade: h2c", "!field of a connection"},
		{basic + "|keep-alive: 5", "!field of a connection"},
		{basic + "|proxy-connection: close", "!field of a connection"},
		{basic + "|te: gzip", "!te other than trailers"},
		{basic + "|content-length: 1", "!content-length without a body"},
		{basic + "|content-length: -1", "!content-length"},
		{basic + "|content-length: ", "!content-length"},
		{basic + "|content-length: 1, 1", "!content-length"},
		{basic + "|content-length: 0|content-length: 0", "!content-length"},
		{basic + "|content-length: 1234567890123456789", "!content-length"},

		{basic + "|a: 1|b: 2|c: 3|d: 4|e: 5", "GET https example.com /a|a: 1|b: 2|c: 3|d: 4|e: 5"},
		{basic + "|a: 1|b: 2|c: 3|d: 4|e: 5|f: 6", "large"},
		{basic + "|x: " + strings.Repeat("y", 1000), "large"},
	} {
		h := Head{arena: make([]byte, 0, 10)}
		h.reset(false)
		if got := build(&h, tt.fields, &settings); got != tt.want {
			t.Errorf("%q:\n got %q\nwant %q", tt.fields, got, tt.want)
		}
	}
}

func build(h *Head, fields string, s *Settings) string {
	for line := range strings.SplitSeq(fields, "|") {
		if i := strings.LastIndex(line, ": "); i >= 0 {
			if strings.HasPrefix(line, "x: ") {
				i = 1
			}
			if err := h.add([]byte(line[:i]), []byte(line[i+2:]), s); err != nil {
				return "!" + err.Error()
			}
		}
	}
	if err := h.finish(true, true); err != nil {
		return "!" + err.Error()
	}
	if h.large {
		return "large"
	}
	got := fmt.Sprintf("%s %s %s %s", h.Method, h.Scheme, h.Authority, h.Path)
	if h.Protocol != nil {
		got += " " + string(h.Protocol)
	}
	for _, f := range h.Fields {
		got += fmt.Sprintf("|%s: %s", f.Name, f.Value)
	}
	return got
}

// TestBudget checks what a budget allows.
func TestBudget(t *testing.T) {
	b := newBudget(3, 10, 100)
	for i, tt := range []struct {
		n, now int64
		ok     bool
	}{
		{1, 100, true}, {2, 100, true}, {1, 109, false}, // empty
		{0, 110, true}, {1, 115, false}, {1, 130, true}, // one each ten
		{3, 1000, true}, {1, 1000, false}, // never more than three
	} {
		if got := b.spend(tt.n, tt.now); got != tt.ok {
			t.Errorf("%d: spend %d at %d: %v", i, tt.n, tt.now, got)
		}
	}
	if b.earn(100); b.left != 3 {
		t.Errorf("%d left", b.left)
	}
}
