package proxy

import (
	"bytes"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// FuzzRecompose shows that whatever a middleware makes of a request, what an
// endpoint gets is one request with the body's own framing, on a canonical path
// without a step up that was not there.
func FuzzRecompose(f *testing.F) {
	f.Add("/a", "?b=c", "example.com", "X-A", "b")
	f.Add("/a/../b", "", "", "Transfer-Encoding", "chunked")
	f.Add("/a b HTTP/1.1\r\nX: y", "? HTTP/1.1\r\n\r\n", "a\r\nb: c", "a\r\nb", "c\r\n\r\nGET / HTTP/1.1")
	f.Add("//x", "#", "[::1]:80", "content-length", "7")
	f.Add("*", "x", "a", "Connection", "close, x-a")
	f.Fuzz(func(t *testing.T, path, query, authority, name, value string) {
		x := &exchange{}
		x.pass.path = "/before"
		x.pass.own = []string{"Content-Length: 5", "Expect: 100-continue"}
		x.pass.req = middleware.Request{Method: "POST", Path: path, Query: query, Authority: authority,
			Header: middleware.Header{{Name: "X-Kept", Value: "1"}, {Name: name, Value: value}}}
		if a := x.recompose(); a != nil {
			if a.Status != 400 && a.Status != 500 {
				t.Errorf("answers %+v", a)
			}
			return
		}
		var r http1.Request
		if end := http1.HeadEnd(x.out, 0); end != len(x.out) {
			t.Fatalf("more than one head: %q", x.out)
		}
		if err := r.Parse(x.out, unlimited(x.out)); err != nil {
			t.Fatalf("%v in %q", err, x.out)
		}
		if r.Framing != http1.Length || r.Length != 5 || r.Method != http1.POST || !bytes.Equal(r.Query.Of(x.out), []byte(query)) {
			t.Errorf("framing %v of %d, query %q in %q", r.Framing, r.Length, r.Query.Of(x.out), x.out)
		}
		canonical, err := route.CanonicalPath(nil, r.Path.Of(x.out))
		if err != nil || !bytes.Equal(canonical, r.Path.Of(x.out)) {
			t.Errorf("path %q, %v", r.Path.Of(x.out), err)
		}
		if got, _ := route.CanonicalPath(nil, []byte(path)); string(got) != string(canonical) || strings.Contains(path+"/", "/../") {
			t.Errorf("%q leads to %q", path, canonical)
		}
		want := 5
		if middleware.Reserved(name) {
			want--
		}
		if len(r.Fields) != want {
			t.Errorf("%d fields in %q", len(r.Fields), x.out)
		}
	})
}
