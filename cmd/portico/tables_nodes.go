package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/portico-lb/portico/l4/nodes"
)

// soundNodes reports that every selector has Nodes that can serve. An API
// server that is away needs nobody for their sake.
func soundNodes(s nodes.Status) bool {
	return !slices.ContainsFunc(s.Selectors, func(s nodes.SelectorStatus) bool { return s.Held || len(s.Nodes) == 0 })
}

// printNodes prints which Nodes of the cluster make servers, and which do not.
func printNodes(w io.Writer, s nodes.Status, now time.Time) {
	for _, sel := range s.Selectors {
		fmt.Fprintf(w, "  nodes with %s: %d serve, %d left out, read %s\n", sel.Selector, len(sel.Nodes), len(sel.LeftOut), ago(now, sel.Read))
		if sel.Held {
			fmt.Fprintln(w, "  ! none of them can serve any more, the last ones stay")
		} else if len(sel.Nodes) == 0 {
			fmt.Fprintln(w, "  ! none is known that can serve")
		}
		for _, n := range sel.LeftOut {
			fmt.Fprintf(w, "    %s left out: %s\n", n.Name, n.Reason)
		}
	}
	if s.Error != "" {
		fmt.Fprintf(w, "  ! nodes cannot be read for %s, the last ones stay: %s\n", age(now, s.ErrorSince), s.Error)
	}
}

// ago is age in a sentence.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return age(now, t) + " ago"
}
