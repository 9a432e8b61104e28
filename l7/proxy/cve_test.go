package proxy_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
)

// TestCVE has a row for each class of fault that other proxies have been
// mended for, as far as it can be seen in HTTP/1.1 from outside. want is the
// status that refuses, or what stands in the head that an endpoint gets, and
// never what must not.
func TestCVE(t *testing.T) {
	const (
		get   = "GET / HTTP/1.1\r\nHost: example.com\r\n"
		post  = "POST / HTTP/1.1\r\nHost: example.com\r\n"
		coded = post + "Transfer-Encoding: chunked\r\n\r\n"
	)
	target := func(t string) string { return "GET " + t + " HTTP/1.1\r\nHost: example.com\r\n\r\n" }
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, heads(t))
	for _, tc := range []struct{ cve, sent, want, never string }{
		// Paths that are matched as one thing and served as another.
		{"2025-32431: dots cross routes", target("/public/../admin"), "GET /admin HTTP/1.1\r\n", "public"},
		{"2025-47952: encoded dots", target("/public/%2e%2E/admin"), "GET /admin HTTP/1.1\r\n", "public"},
		{"2025-47952: above the root", target("/%2e%2e/%2e%2e/etc"), "GET /etc HTTP/1.1\r\n", "%2e"},
		{"2025-66490: encoded slash behind dots", target("/a/..%2fadmin"), "400", ""},
		{"2025-66490: encoded backslash", target("/a/..%5cadmin"), "400", ""},
		{"2025-66490: NUL", target("/a%00.html"), "400", ""},
		{"2025-66490: encoded semicolon, question mark, hash stay what they are", target("/a%3bb%3fc%23d"), "GET /a%3Bb%3Fc%23d HTTP/1.1\r\n", ""},
		{"2025-66490: dots with a parameter", target("/a/..;/admin"), "400", ""},
		{"2026-40912: twice encoded", target("/a/%252e%252e/b"), "GET /a/%252e%252e/b HTTP/1.1\r\n", "../"},
		{"2023-47106: fragment", target("/public#/../admin"), "400", ""},
		{"2026-27588: case of hexadecimal digits", target("/%7euser/%c3%a4"), "GET /~user/%C3%A4 HTTP/1.1\r\n", "%7e"},
		{"2022-34296: query is not path", target("/a?/../b#c"), "400", ""},
		{"2022-23632: trailing dot of a name", "GET / HTTP/1.1\r\nHost: example.com.\r\n\r\n", "Host: example.com.\r\n", ""},

		// Who sent it.
		{"2024-45410: Connection removes our fields", get + "Connection: X-Forwarded-For, X-Real-Ip, X-Forwarded-Host\r\n\r\n", "X-Forwarded-For: 127.0.0.1\r\nX-Real-Ip: 127.0.0.1\r\n", "Connection"},
		{"2026-29054: in lower case", get + "Connection: x-forwarded-for, x-real-ip\r\n\r\n", "X-Forwarded-For: 127.0.0.1\r\nX-Real-Ip: 127.0.0.1\r\n", "onnection"},
		{"2024-45410: Connection removes the host", get + "Connection: host, content-length\r\n\r\n", "Host: example.com\r\n", "onnection"},
		{"2024-52003: other X-Forwarded- fields", get + "X-Forwarded-Prefix: /evil\r\nX-Forwarded-Port: 666\r\nX-Forwarded-Ssl: evil\r\n\r\n", "X-Forwarded-Port: 80\r\n", "evil"},
		{"2026-33433: underscores", get + "X_Forwarded_For: evil\r\nX-Forwarded_Proto: evil\r\nContent_Length: evil\r\n\r\n", "X-Forwarded-For: 127.0.0.1\r\n", "evil"},
		{"2016-5385: Proxy", get + "Proxy: evil\r\n\r\n", "Host: example.com\r\n", "evil"},

		// Where a request ends.
		{"2019-16276: blank before the colon", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400", ""},
		{"2021-40346: a name longer than its length can be counted in a byte",
			post + "Content-Length0" + strings.Repeat("a", 255) + ":\r\nContent-Length: 3\r\n\r\nabc", "\r\nContent-Length: 3\r\n", ""},
		{"2022-1705: chunked by other names", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400", ""},
		{"2022-1705: identity", post + "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", "400", ""},
		{"2023-25725: empty name", post + ": x\r\nContent-Length: 3\r\n\r\nabc", "400", ""},
		{"2023-40225: empty length", post + "Content-Length:\r\n\r\n", "400", ""},
		{"2023-40225: empty length and another", post + "Content-Length: \r\nContent-Length: 3\r\n\r\nabc", "400", ""},
		{"2023-39326: extensions without end", coded + "1;" + strings.Repeat("a", 70<<10) + "\r\n", "400", ""},
		{"2025-22871: bare LF behind a chunk's size", coded + "3\nabc\r\n0\r\n\r\n", "400", ""},
		{"2025-22871: bare LF in an extension", coded + "3;a\nabc\r\n0\r\n\r\n", "400", ""},
		{"2026-71324: CONNECT", "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n", "501", ""},
		{"go 61679: no CRLF behind a chunk", coded + "3\r\nabcX0\r\n\r\n", "400", ""},
		{"go 64517: CR alone ends no line", get + "X: y\rZ: a\r\n\r\n", "400", ""},
		{"go 65244: bare CR behind a chunk's size", coded + "3\rXabc\r\n0\r\n\r\n", "400", ""},
		{"garden: vertical tab before chunked", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "400", ""},
		{"garden: byte that looks like a blank", post + "Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n", "400", ""},
		{"garden: signed length", post + "Content-Length: +3\r\n\r\nabc", "400", ""},
		{"garden: hexadecimal prefix", coded + "0x3\r\nabc\r\n0\r\n\r\n", "400", ""},
		{"garden: length and coding", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", ""},
		{"garden: host twice", "GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.org\r\n\r\n", "400", ""},
		{"garden: folded host", "GET / HTTP/1.1\r\nHost: example.com\r\n .example.org\r\n\r\n", "400", ""},

		// What costs.
		{"2025-58186: cookies", get + "Cookie: " + strings.Repeat("a=b;", 10000) + "\r\n\r\n", "Host: example.com\r\n", ""},
		{"2025-61726: query parameters", target("/?" + strings.Repeat("a&", 5000)), "Host: example.com\r\n", ""},
	} {
		t.Run(tc.cve, func(t *testing.T) {
			p := e.dial(t)
			if len(tc.want) == 3 {
				go p.Conn.Write([]byte(tc.sent + getRoot))
				got := p.rest()
				if !strings.HasPrefix(got, "HTTP/1.1 "+tc.want+" ") || strings.Count(got, "HTTP/1.1 ") != 1 {
					t.Errorf("got %q, want one %s", got, tc.want)
				}
				return
			}
			for range 2 { // and the next request begins where it should
				r, got := p.say(tc.sent).hear("GET")
				if r.StatusCode != 200 || !strings.Contains(got, tc.want) || tc.never != "" && strings.Contains(got, tc.never) {
					t.Errorf("got %v %q, want %q and not %q", r.Status, got, tc.want, tc.never)
				}
			}
		})
	}
}

// TestCVESlow are clients that take their time: nobody is waited for without
// an end.
func TestCVESlow(t *testing.T) {
	e := start(t, proxy.Options{Timeouts: proxy.Timeouts{Head: short, Idle: 3 * short, Stall: short}},
		proxy.Entrypoint{H2C: true, ProxyProtocol: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, heads(t))
	for cve, sent := range map[string]string{
		"2024-28869: length with GET":                "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\n",
		"2026-26999: deadline of the second request": getRoot + "GET / HT",
		"2026-56853: preface that does not end":      "PRI * HTTP/2.0\r\n\r\n",
		"2026-56853: preface that hardly begins":     "PRI",
		"chunk that does not end":                    "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"blank lines alone":                          "\r\n\r\n\r\n",
	} {
		p := e.dial(t).say(sent)
		begin := time.Now()
		p.rest()
		if d := time.Since(begin); d > 20*short {
			t.Errorf("%s: took %v", cve, d)
		}
	}
}
