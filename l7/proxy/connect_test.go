package proxy

import (
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/http1"
)

// FuzzCookie compares the search for a cookie with one that cuts the whole
// field up.
func FuzzCookie(f *testing.F) {
	f.Add("a=b; edge=x", "edge")
	f.Add("edge=1;edge=2", "edge")
	f.Add("edgy=1; xedge=2;  edge==; ;", "edge")
	f.Add("edge", "edge")
	f.Fuzz(func(t *testing.T, field, name string) {
		var r http1.Request
		head := "GET / HTTP/1.1\r\nHost: a\r\ncOOkie: " + field + "\r\n\r\n"
		if r.Parse([]byte(head), http1.DefaultLimits) != nil || len(r.Fields) != 2 {
			return
		}
		want := ""
		for pair := range strings.SplitSeq(strings.Trim(field, " \t"), ";") {
			if n, v, ok := strings.Cut(strings.TrimLeft(pair, " "), "="); ok && n == name {
				want = v
				break
			}
		}
		if got := string(cookie(&r, []byte(head), name)); got != want {
			t.Errorf("%q of %q: %q, want %q", name, field, got, want)
		}
	})
}
