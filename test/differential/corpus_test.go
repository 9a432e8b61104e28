package differential

import (
	"fmt"
	"strings"
)

// An item is what one client sends on one connection. "{}" stands for a path
// that is the item's own.
type item struct {
	name string
	sent string
	// next is whether a request for {}/next stands there by everybody's
	// reading. One for {}/smuggled never does: it stands in a body, or behind
	// something that no two readers agree about.
	next bool
}

const (
	host     = "Host: h.example\r\n"
	next     = "GET {}/next HTTP/1.1\r\n" + host + "\r\n"
	smuggled = "GET {}/smuggled HTTP/1.1\r\n" + host + "\r\n"
)

// corpus returns all items.
func corpus() []item {
	var all []item
	for _, part := range []func() []item{
		lengths, codings, chunks, trailers, lines, requestLines, targets, hosts, connections, sizes, plain,
	} {
		all = append(all, part()...)
	}
	for i := range all {
		all[i].sent = strings.ReplaceAll(all[i].sent, "{}", fmt.Sprintf("/i%d", i))
	}
	return all
}

// plain are requests that everybody reads alike.
func plain() []item {
	return []item{
		{"GET", "GET {} HTTP/1.1\r\n" + host + "\r\n", false},
		{"two GETs", "GET {} HTTP/1.1\r\n" + host + "\r\n" + next, true},
		{"HEAD, GET", "HEAD {} HTTP/1.1\r\n" + host + "\r\n" + next, true},
		{"POST, GET", "POST {} HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nabcde" + next, true},
		{"chunked POST, GET", "POST {} HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n" + next, true},
		{"empty POST, GET", "POST {} HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n" + next, true},
		{"PUT with a request in its body", "PUT {} HTTP/1.1\r\n" + host + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggled)+2) + "x" + smuggled + "x", false},
		{"GET with a body", "GET {} HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nabcde" + next, true},
		{"DELETE with a chunked body", "DELETE {} HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n" + next, true},
		{"HTTP/1.0", "GET {} HTTP/1.0\r\n" + host + "\r\n" + smuggled, false},
		{"HTTP/1.0 that stays", "GET {} HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n\r\n" + next, true},
	}
}

// lengths are all that may stand for a Content-Length.
func lengths() []item {
	var out []item
	for _, v := range []string{"5", "05", "5 ", "\t5"} {
		out = append(out, item{fmt.Sprintf("length %q", v), "POST {} HTTP/1.1\r\n" + host + "Content-Length:" + v + "\r\n\r\nabcde" + next, true})
	}
	for _, v := range []string{
		"+5", "-5", "5,5", "5, 5", "5,6", "0,5", "0x5", "5;", "5 5", "\"5\"", "5.0", "5e0", "", " ", "5\t5",
		strings.Repeat("0", 30) + "5", "18446744073709551621", "4294967301", "9223372036854775808", "99999999999999999999999999",
		"5\x00", "\x0b5", "5\x0b", "5\x0c", "\u0665", "\uff15", "5\r", "5\x80", "\xa05", "1_0", "5,", ",5", "five",
	} {
		out = append(out, item{fmt.Sprintf("length %q", v), "POST {} HTTP/1.1\r\n" + host + "Content-Length:" + v + "\r\n\r\nabcde" + smuggled, false})
	}
	for _, names := range []string{
		"Content-Length : 5", "Content-Length\t: 5", " Content-Length: 5", "Content-Length\x00: 5", "Content-Length\x0b: 5",
		"Content-Length\r\n: 5", "Content-Length:\r\n 5", "Content-Length:\n5", "X: y\rContent-Length: 5", "X: y\nContent-Length: 5", "Content Length: 5",
		"Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 0", "Content-Length: 0\r\nContent-Length: 5",
		"Content-Length: 5\r\ncontent-length: 6", "Content-Length: 5\r\nContent-Length:", "Content-Length:\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length : 0",
		"Content-Length:5\r\nX: y\r\n Content-Length: 0", ":Content-Length: 5", "Content-Length", "Content-Length5",
	} {
		out = append(out, item{fmt.Sprintf("length line %q", names), "POST {} HTTP/1.1\r\n" + host + names + "\r\n\r\nabcde" + smuggled, false})
	}
	return out
}

// codings are all that may stand for a Transfer-Encoding, alone and beside a
// length.
func codings() []item {
	var out []item
	add := func(name, line string) {
		for _, length := range []string{"", "Content-Length: 5\r\n", "Content-Length: 100\r\n"} {
			for _, first := range []bool{false, true} {
				if length == "" && first {
					continue
				}
				fields := length + line + "\r\n"
				if first {
					fields = line + "\r\n" + length
				}
				out = append(out, item{fmt.Sprintf("%s, %q, coding first %t", name, length, first),
					"POST {} HTTP/1.1\r\n" + host + fields + "\r\n0\r\n\r\n" + smuggled, false})
			}
		}
	}
	for _, v := range []string{" Chunked", " CHUNKED ", "\tchunked"} {
		out = append(out, item{fmt.Sprintf("coding %q", v), "POST {} HTTP/1.1\r\n" + host + "Transfer-Encoding:" + v + "\r\n\r\n0\r\n\r\n" + next, true})
	}
	for _, v := range []string{
		" chunked, chunked", " identity", " identity, chunked", " chunked, identity", " gzip, chunked", " gzip", " x",
		"", " chunked;", " chunked;q=1", " \"chunked\"", " 'chunked'", " chunked\x00", " \x0bchunked", " chunked\x0b", " xchunked", " chunked,", " ,chunked",
		" chun ked", " chunked\x85", " \xa0chunked", " chun\u212aed", " chunked\r", "\r\n chunked", " chunked\r\n ,identity", " chunked\r\n x", " chunked chunked", " chunked\\",
	} {
		add(fmt.Sprintf("coding %q", v), "Transfer-Encoding:"+v)
	}
	for _, l := range []string{
		"Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked", "Transfer-Encoding\x00: chunked",
		"X: y\rTransfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked", "Transfer-\r\n Encoding: chunked", "Transfer-Encoding\r\n : chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
		"X:\r\n Transfer-Encoding: chunked", "Transfer-Encoding", "\x00Transfer-Encoding: chunked", "Transfer-Encoding\x0b: chunked", "Transfer\xadEncoding: chunked",
	} {
		add(fmt.Sprintf("coding line %q", l), l)
	}
	for _, fields := range []string{ // others by name, or none
		"Content_Length: 0\r\nContent-Length: 5\r\n", "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nTransfer_Encoding: chunked\r\n", "TE: chunked\r\nContent-Length: 5\r\n",
	} {
		out = append(out, item{fmt.Sprintf("fields %q", fields), "POST {} HTTP/1.1\r\n" + host + fields + "\r\nabcde" + next, true})
	}
	out = append(out,
		item{"coding that is named in Connection", "POST {} HTTP/1.1\r\n" + host + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n" + next, true},
		item{"coding in HTTP/1.0", "POST {} HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, false},
		item{"coding in HTTP/1.0 with a length", "POST {} HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, false})
	return out
}

const chunked = "POST {} HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n"

// chunks are forms of a chunk's size, of what follows its data, and of the last
// chunk.
func chunks() []item {
	var out []item
	for _, size := range []string{"05", "0005", "5;a", "5;a=b", "5;a=\"b\"", "5;a=\"0;b\"", "5;", "5;;", "5; a", "5;a ;b"} {
		out = append(out, item{fmt.Sprintf("chunk size %.40q", size), chunked + size + "\r\nabcde\r\n0\r\n\r\n" + next, true})
	}
	for _, size := range []string{
		"5 ", " 5", "5\t", "5 ;a=b", "5;a=\"\n\"", "5;\n", "+5", "-5", "0x5", "5x", "5_", "", ";a", "5,5", "5 5",
		strings.Repeat("0", 30) + "5", "10000000000000005", "100000005", "FFFFFFFFFFFFFFFF", "5\x00", "5;\x00", "5;a\rb", "5\r", "5\x0b", "5\x85", "5;" + strings.Repeat("a", 10000), "\uff15", "g",
	} {
		out = append(out, item{fmt.Sprintf("chunk size %.40q", size), chunked + size + "\r\nabcde\r\n0\r\n\r\n" + smuggled, false})
	}
	for _, end := range []string{"\n", "", "\r", "XX", "\r\n\r\n", "\n\r", " \r\n", "x\r\n", "\r\r\n"} {
		out = append(out, item{fmt.Sprintf("chunk data ends with %q", end), chunked + "5\r\nabcde" + end + "0\r\n\r\n" + smuggled, false})
	}
	for _, line := range []string{"5\nabcde\r\n", "5\rabcde\r\n", "5;a\nabcde\r\n"} {
		out = append(out, item{fmt.Sprintf("chunk %q", line), chunked + line + "0\r\n\r\n" + smuggled, false})
	}
	for _, last := range []string{"00\r\n\r\n", "0;a=b\r\n\r\n"} {
		out = append(out, item{fmt.Sprintf("last chunk %q", last), chunked + "5\r\n\nabcd\r\n" + last + next, true})
	}
	for _, last := range []string{
		"0\n\n", "0\r\n\n", "0\n\r\n", "-0\r\n\r\n", "0x0\r\n\r\n", "0\r\n\rX", "0\r\nX\r\n", "0 \r\n\r\n", "\r\n0\r\n\r\n", "0\r\n \r\n\r\n", "0\r\r\n\r\n", "0\r\n",
	} {
		out = append(out, item{fmt.Sprintf("last chunk %q", last), chunked + "5\r\nabcde\r\n" + last + smuggled, false})
	}
	return out
}

// trailers are forms of trailer fields.
func trailers() []item {
	var out []item
	for _, t := range []string{
		"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Host: evil.example\r\n", "X A: b\r\n", "A : b\r\n", " folded\r\n", "A: b\r\n folded\r\n", "A: b\n",
		"no colon\r\n", "A:\x00\r\n", ": b\r\n", "A: b\rC: d\r\n", "X-Forwarded-For: 1.2.3.4\r\n", "A: b\r\n\n", "Connection: close\r\n", "Content-Length : 5\r\n",
	} {
		out = append(out, item{fmt.Sprintf("trailer %q", t), chunked + "5\r\nabcde\r\n0\r\n" + t + "\r\n" + smuggled, false})
	}
	return append(out,
		item{"trailer", chunked + "5\r\nabcde\r\n0\r\nA: b\r\n\r\n" + next, true},
		item{"large trailer", chunked + "0\r\nA: " + strings.Repeat("b", 100<<10) + "\r\n\r\n" + smuggled, false})
}

// lines are line ends and control characters where fields are.
func lines() []item {
	var out []item
	for name, head := range map[string]string{
		"bare LF everywhere":       "POST {} HTTP/1.1\nHost: h.example\nContent-Length: 5\n\n",
		"bare LF behind the first": "POST {} HTTP/1.1\nHost: h.example\r\nContent-Length: 5\r\n\r\n",
		"bare LF at the end":       "POST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n\n",
		"bare LF before the end":   "POST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\n\r\n",
		"bare CR everywhere":       "POST {} HTTP/1.1\rHost: h.example\rContent-Length: 5\r\r",
		"bare CR at the end":       "POST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n\r",
		"CR CR LF":                 "POST {} HTTP/1.1\r\r\nHost: h.example\r\nContent-Length: 5\r\n\r\n",
		"CR CR LF at the end":      "POST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n\r\r\n",
		"LF CR":                    "POST {} HTTP/1.1\n\rHost: h.example\n\rContent-Length: 5\n\r\n\r",
		"blank line with a space":  "POST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n \r\n\r\n",
		"folded":                   "POST {} HTTP/1.1\r\nHost: h.example\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\n",
		"folded with a tab":        "POST {} HTTP/1.1\r\nHost: h.example\r\nX: a\r\n\tContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
		"first field folded":       "POST {} HTTP/1.1\r\n Host: h.example\r\nContent-Length: 5\r\n\r\n",
		"NUL in a value":           "POST {} HTTP/1.1\r\nHost: h.example\r\nX: a\x00b\r\nContent-Length: 5\r\n\r\n",
		"NUL at the begin":         "\x00POST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n\r\n",
		"control in a value":       "POST {} HTTP/1.1\r\nHost: h.example\r\nX: a\x01b\r\nContent-Length: 5\r\n\r\n",
		"DEL in a value":           "POST {} HTTP/1.1\r\nHost: h.example\r\nX: a\x7fb\r\nContent-Length: 5\r\n\r\n",
		"no colon":                 "POST {} HTTP/1.1\r\nHost: h.example\r\nXab\r\nContent-Length: 5\r\n\r\n",
		"empty name":               "POST {} HTTP/1.1\r\nHost: h.example\r\n: x\r\nContent-Length: 5\r\n\r\n",
		"name with a colon":        "POST {} HTTP/1.1\r\nHost: h.example\r\n:path: /x\r\nContent-Length: 5\r\n\r\n",
		"name with high bytes":     "POST {} HTTP/1.1\r\nHost: h.example\r\nX\xff: x\r\nContent-Length: 5\r\n\r\n",
		"name in brackets":         "POST {} HTTP/1.1\r\nHost: h.example\r\n(X): x\r\nContent-Length: 5\r\n\r\n",
		"value in quotes with CR":  "POST {} HTTP/1.1\r\nHost: h.example\r\nX: \"a\r\nContent-Length: 0\r\nY: b\"\r\nContent-Length: 5\r\n\r\n",
		"form feed at the begin":   "\x0cPOST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n\r\n",
		"LF before the request":    "\nPOST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n\r\n",
		"space before the request": " POST {} HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\n\r\n",
	} {
		out = append(out, item{"lines: " + name, head + "abcde" + smuggled, false})
	}
	return append(out, item{"CRLF before the request", "\r\nGET {} HTTP/1.1\r\n" + host + "\r\n" + next, true})
}

// requestLines are forms of the first line.
func requestLines() []item {
	var out []item
	for _, l := range []string{
		"GET  {} HTTP/1.1", "GET\t{} HTTP/1.1", "GET {}\tHTTP/1.1", "GET {} HTTP/1.1 ", "GET {} HTTP/1.1\t", "GET {}  HTTP/1.1", "GET\x0b{} HTTP/1.1", "GET {}\x0bHTTP/1.1",
		"GET {}", "GET {} ", "GET {} HTTP/1.1 HTTP/1.1", "GET {} x HTTP/1.1", "GET {} HTTP/1.1 x", "GET {} http/1.1", "GET {} HTTP/1.2", "GET {} HTTP/1.10", "GET {} HTTP/01.1",
		"GET {} HTTP/1.", "GET {} HTTP/11", "GET {} HTTP/2.0", "GET {} HTTP/0.9", "GET {} HTTP/1.1.1", "GET {} HTTPS/1.1", "GET {} HTTP/1,1", "GET {} HTTP / 1.1", "GET {} HTTP/ 1.1", "GET {} HTTP/1 .1",
		"GET {} FTP/1.1", "G(T {} HTTP/1.1", "GE\x00T {} HTTP/1.1", "GET\xa0{} HTTP/1.1", "\"GET\" {} HTTP/1.1", "GET, {} HTTP/1.1", "GET", "{} HTTP/1.1", "HTTP/1.1 200 OK",
		"CONNECT h.example:80 HTTP/1.1", "CONNECT {} HTTP/1.1", "TRACE {} HTTP/1.1", "PRI * HTTP/2.0", "GET {}\x00 HTTP/1.1", "GET {}\x85 HTTP/1.1",
	} {
		out = append(out, item{fmt.Sprintf("line %q", l), l + "\r\n" + host + "\r\n" + smuggled, false})
	}
	for _, method := range []string{"PURGE", "get", "TRACK", "G.E_T"} {
		out = append(out, item{"method " + method, method + " {} HTTP/1.1\r\n" + host + "\r\n" + next, true})
	}
	return out
}

// targets are forms of the request target.
func targets() []item {
	var out []item
	for _, t := range []string{
		"{}/a/../b", "{}/%2e%2e/b", "{}/%2E./b", "{}/./b", "{}//b", "{}/..%2fb", "{}/..%5cb", "{}/a\\b", "{}/a\\..\\b", "{}/a%00b", "{}/a%0d%0ab", "{}/a%2fb", "{}/a%2Fb", "{}/a%7eb", "{}/a%zz", "{}/a%", "{}/a%2",
		"{}/a#b", "{}/a%23b", "{}/a?b?c", "{}/a?b#c", "{}/a;b", "{}/a;b/../c", "{}/a|b", "{}/a\"b", "{}/a<b>", "{}/a^b`", "{}/a{b}", "{}/\xc3\xa4", "{}/\xff", "{}/a\x01b", "{}/a\x7fb", "{}/a?\xff", "{}/a?%00", "{}/a?b=http://x/",
		"{}/../../../../b", "//evil.example{}", "///{}", "/%2f{}", "{}%3fb", "{}?", "?{}", "{}/.", "{}/..", "{}/%2e", "{}/a/..;/b", "{}/a/.;/b", "{}/a%252fb", "{}/a+b", "{}/a:b", "{}/@b", "{}/a?|\"<>^`{}\\",
		"http://h.example{}", "http://other.example{}", "http://h.example:80{}", "http://h.example", "http://h.example?{}", "HTTP://h.example{}", "https://h.example{}", "ftp://h.example{}", "http://user@h.example{}",
		"http://h.example@other.example{}", "http:///x{}", "http:/h.example{}", "http:h.example{}", "http://[::1]{}", "http://h.example\\{}", "http://h.example#{}", "http://h.example:{}", "http://h.example:99999{}", "h.example{}", "x:{}", "://h.example{}", "*", "*{}",
	} {
		out = append(out, item{fmt.Sprintf("target %q", t), "GET " + t + " HTTP/1.1\r\n" + host + "X-Item: {}\r\n\r\n" + next, true})
	}
	return append(out, item{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + host + "X-Item: {}\r\n\r\n" + next, true})
}

// hosts are forms of the Host field.
func hosts() []item {
	var out []item
	for _, h := range []string{
		"", "Host: h.example\r\nHost: h.example", "Host: h.example\r\nHost: other.example", "Host:", "Host: ", "Host: h.example, other.example", "Host: h.example:80", "Host: h.example:", "Host: h.example:x", "Host: h.example:99999",
		"Host: h.example:80:80", "Host: h. example", "Host: user@h.example", "Host: h.example.", "Host: .h.example", "Host: h..example", "Host: H.EXAMPLE", "Host: [::1]", "Host: [::1", "Host: [::1]x", "Host: ::1", "Host: h.example/x", "Host: h.example?x", "Host: h.example#x", "Host: h.example\\x", "Host: h%2eexample", "Host: h_example",
		"Host : h.example", "Host\t: h.example", " Host: h.example", "Host:\r\n h.example", "Host: h.example\r\n .other", "Host: h.example\x00", "Host: \x0bh.example", "Host: h.example\x80", "X: y\rHost: other.example\r\nHost: h.example", "Host: h.example\rX: y", "Host: \"h.example\"", "Host: h.example;x", "host: h.example", "Host: h.example\t",
		"Host: h.example\r\nX-Forwarded-Host: other.example", "Host: h.example\r\nX-Host: other.example", "Host: h.example\r\nHost : other.example", "Host: h.example\r\nConnection: Host", "Host: 127.0.0.1", "Host: 0x7f.1", "Host: *", "Host: http://h.example",
	} {
		out = append(out, item{fmt.Sprintf("host %q", h), "GET {} HTTP/1.1\r\n" + strings.TrimPrefix(h+"\r\n", "\r\n") + "\r\n" + next, true})
	}
	return append(out, item{"HTTP/1.0 without a host", "GET {} HTTP/1.0\r\n\r\n" + smuggled, false})
}

// connections are fields that concern the connection.
func connections() []item {
	var out []item
	for _, f := range []string{
		"Expect: 100-continue\r\nContent-Length: 5\r\n", "Expect: 100-Continue\r\nContent-Length: 5\r\n", "Expect: x\r\nContent-Length: 5\r\n", "Expect: 100-continue, x\r\nContent-Length: 5\r\n", "Expect:\r\nContent-Length: 5\r\n", "Expect: 100-continue\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n",
		"Connection: Content-Length\r\nContent-Length: 5\r\n", "Connection: keep-alive, content-length\r\nContent-Length: 5\r\n", "Connection: Expect\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
		"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: x, h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n", "Proxy-Connection: close\r\nContent-Length: 5\r\n", "Keep-Alive: timeout=1\r\nContent-Length: 5\r\n", "TE: trailers\r\nConnection: TE\r\nContent-Length: 5\r\n", "Connection: \x0bclose\r\nContent-Length: 5\r\n", "Connection: close;x\r\nContent-Length: 5\r\n", "Connection: \"close\"\r\nContent-Length: 5\r\n", "Connection: clo\r\n se\r\nContent-Length: 5\r\n",
		"Max-Forwards: 0\r\nContent-Length: 5\r\n", "X-HTTP-Method-Override: PUT\r\nContent-Length: 5\r\n", "Range: bytes=0-1\r\nContent-Length: 5\r\n", "Content-Encoding: gzip\r\nContent-Length: 5\r\n", "Sec-WebSocket-Version: 99\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
	} {
		out = append(out, item{fmt.Sprintf("fields %q", f), "POST {} HTTP/1.1\r\n" + host + f + "\r\nabcde" + next, true})
	}
	return append(out,
		item{"close", "GET {} HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n" + smuggled, false},
		item{"close in a list", "GET {} HTTP/1.1\r\n" + host + "Connection: x, Close\r\n\r\n" + smuggled, false},
		item{"upgrade that is not granted", "GET {} HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + next, true},
		item{"upgrade to h2c", "GET {} HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + next, true},
		item{"expectation without a body", "GET {} HTTP/1.1\r\n" + host + "Expect: 100-continue\r\n\r\n" + next, true},
		item{"expectation in HTTP/1.0", "POST {} HTTP/1.0\r\n" + host + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde" + smuggled, false})
}

// sizes are heads that are too large.
func sizes() []item {
	return []item{
		{"long line", "GET {}/" + strings.Repeat("a", 20<<10) + " HTTP/1.1\r\n" + host + "\r\n" + smuggled, false},
		{"long method", strings.Repeat("A", 20<<10) + " {} HTTP/1.1\r\n" + host + "\r\n" + smuggled, false},
		{"large field", "GET {} HTTP/1.1\r\n" + host + "A: " + strings.Repeat("a", 70<<10) + "\r\n\r\n" + smuggled, false},
		{"many fields", "GET {} HTTP/1.1\r\n" + host + strings.Repeat("A: b\r\n", 1000) + "\r\n" + smuggled, false},
		{"long name", "GET {} HTTP/1.1\r\n" + host + strings.Repeat("A", 70<<10) + ": b\r\n\r\n" + smuggled, false},
	}
}
