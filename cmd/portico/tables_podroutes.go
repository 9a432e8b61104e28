package main

import (
	"fmt"
	"io"
	"time"

	"github.com/portico-lb/portico/l7/podroutes"
)

// printPodRoutes prints by which Nodes Pods are reached, and which are not.
func printPodRoutes(w io.Writer, s podroutes.Status, now time.Time) {
	fmt.Fprintf(w, "\n  routes to pods: %d, read %s\n", len(s.Routes), ago(now, s.Read))
	var rows []string
	for _, r := range s.Routes {
		rows = append(rows, row("  "+r.Pods.String(), "via "+r.Via.String(), r.Node))
	}
	table(w, rows...)
	for _, f := range s.Faults {
		fmt.Fprintf(w, "  ! Node %s: %s\n", f.Node, f.Reason)
	}
	if s.Error != "" {
		fmt.Fprintf(w, "  ! nodes cannot be read for %s, the last routes stay: %s\n", age(now, s.ErrorSince), s.Error)
	}
}
