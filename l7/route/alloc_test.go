//go:build !race

package route_test

import (
	"testing"

	"github.com/portico-lb/portico/l7/route"
)

// TestRankAllocatesNothing: nor does a host whose rules stand in each other's
// way. The race detector has pools lose things, those of regexp among them.
func TestRankAllocatesNothing(t *testing.T) {
	table, _ := route.NewTable([]route.Spec{
		rule("a.example", "/foo", route.Begins, "begins"),
		rule("a.example", "/foo", route.Exact, "exact"),
		rule("a.example", "/foo.*x", route.Regexp, "regexp"),
		rule("*.example", "/foo/bar/baz", route.Exact, "wild"),
	})
	for _, s := range []string{"/foo/bx", "/foobar", "/nothing"} {
		host, path := []byte("a.example"), []byte(s)
		if n := testing.AllocsPerRun(100, func() { table.Lookup(host, path) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}
