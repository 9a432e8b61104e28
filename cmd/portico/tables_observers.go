package main

import (
	"fmt"
	"io"

	"github.com/portico-lb/portico/l7"
)

// printObservers prints what the access log and the tracer do.
func printObservers(w io.Writer, s l7.Status) {
	if l := s.AccessLog; l != nil {
		fmt.Fprintf(w, "  access log %s: %d lines, %d lost\n", l.File, l.Lines, l.Lost)
		if l.Error != "" {
			fmt.Fprintf(w, "  ! access log: %s\n", l.Error)
		}
	}
	if t := s.Trace; t != nil {
		fmt.Fprintf(w, "  traces to %s: %d of %d spans sent\n", t.Endpoint, t.Sent, t.Spans)
		if t.Error != "" {
			fmt.Fprintf(w, "  ! traces: %s\n", t.Error)
		}
	}
}
