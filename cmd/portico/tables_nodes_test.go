package main

import (
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/nodes"
)

func TestPrintNodes(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	three := []l4.Node{{Name: "edge-1"}, {Name: "edge-2"}, {Name: "edge-3"}}
	for name, c := range map[string]struct {
		status nodes.Status
		sound  bool
		want   string
	}{
		"all is well": {nodes.Status{Selectors: []nodes.SelectorStatus{
			{Selector: "edgenode=true", Nodes: three, Read: now, LeftOut: []nodes.LeftOut{{Name: "edge-4", Reason: "is cordoned"}}},
		}}, true, `
  nodes with edgenode=true: 3 serve, 1 left out, read 0s ago
    edge-4 left out: is cordoned
`},
		"the API is away": {nodes.Status{Error: "connection refused", ErrorSince: now.Add(-time.Hour), Selectors: []nodes.SelectorStatus{
			{Selector: "edgenode=true", Nodes: three, Read: now.Add(-time.Hour)},
		}}, true, `
  nodes with edgenode=true: 3 serve, 0 left out, read 1h0m ago
  ! nodes cannot be read for 1h0m, the last ones stay: connection refused
`},
		"none can serve": {nodes.Status{Selectors: []nodes.SelectorStatus{
			{Selector: "edgenode=true", Nodes: three[:1], Read: now, Held: true, LeftOut: []nodes.LeftOut{{Name: "edge-1", Reason: "is not ready: x"}}},
		}}, false, `
  nodes with edgenode=true: 1 serve, 1 left out, read 0s ago
  ! none of them can serve any more, the last ones stay
    edge-1 left out: is not ready: x
`},
		"never read": {nodes.Status{Selectors: []nodes.SelectorStatus{{Selector: "a"}}}, false, `
  nodes with a: 0 serve, 0 left out, read never
  ! none is known that can serve
`},
	} {
		var b strings.Builder
		printNodes(&b, c.status, now)
		if got := "\n" + b.String(); got != c.want || soundNodes(c.status) != c.sound {
			t.Errorf("%s: sound is %v, and it prints:%s", name, soundNodes(c.status), got)
		}
	}
}
