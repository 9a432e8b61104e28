package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/kube"
)

// table prints rows of tab-separated cells, aligned and indented.
func table(w io.Writer, rows ...string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, "  "+r)
	}
	t.Flush()
}

func row(cells ...any) string {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	return strings.Join(texts, "\t")
}

func printL7(w io.Writer, s l7.Status, now time.Time) {
	state := "ready"
	if !s.Ready {
		state = "NOT READY: " + s.Reason
	}
	fmt.Fprintf(w, "\n  proxy %s: %d routes, %d backends, %d endpoints, %d certificates\n",
		state, s.Routes, s.Backends, s.Endpoints, len(s.Certificates))
	if s.Source != nil {
		fmt.Fprintf(w, "  from %s, changed %s\n", s.Source.From, ago(now, s.Source.Changed))
		if s.Source.Err != "" {
			served := ", what was read before is served"
			if !s.Source.Synced {
				served = ""
			}
			fmt.Fprintf(w, "  ! cannot be read for %s%s: %s\n", age(now, s.Source.ErrSince), served, s.Source.Err)
		}
		if s.Source.Unsaved != "" {
			fmt.Fprintf(w, "  ! cannot be remembered for a start without the API server: %s\n", s.Source.Unsaved)
		}
		if !s.Source.Restored.IsZero() {
			fmt.Fprintf(w, "  ! not all has been read since the start: the rest is what the API server said %s ago\n", age(now, s.Source.Restored))
		}
		for _, p := range s.Source.Problems {
			fmt.Fprintf(w, "  ! %s\n", p)
		}
	}
	if s.Writer != nil {
		printWriter(w, *s.Writer, now)
	}
	for _, p := range s.Problems {
		fmt.Fprintf(w, "  ! %s\n", p)
	}
	printCertificates(w, s, now)
	printObservers(w, s)
}

// printWriter prints which edge tells the API server what, and why it cannot.
func printWriter(w io.Writer, s kube.PublisherStatus, now time.Time) {
	switch {
	case s.Elected:
		withheld := ""
		if s.Withheld > 0 {
			withheld = fmt.Sprintf(", %d wait for a certificate", s.Withheld)
		}
		fmt.Fprintf(w, "  writes to the API server for all edges, addresses to %d Ingresses%s\n", s.Published, withheld)
	case s.Writer != "":
		fmt.Fprintf(w, "  %s writes to the API server for all edges\n", s.Writer)
	}
	if s.Err != "" {
		fmt.Fprintf(w, "  ! cannot be written for %s: %s\n", age(now, s.ErrSince), s.Err)
	}
}
