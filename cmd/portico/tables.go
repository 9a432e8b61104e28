package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l7"
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

func printL4(w io.Writer, s l4.Status, now time.Time) {
	if s.LastError != "" {
		fmt.Fprintf(w, "\n  ! %s\n", s.LastError)
	}
	if len(s.Services) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows := []string{row("SERVICE", "SCHEDULER", "SERVER", "WEIGHT", "HEALTH", "SINCE", "ACTIVE", "INACTIVE", "REASON")}
	for _, v := range s.Services {
		here := "not owned here"
		if v.Programmed {
			here = "in the kernel"
		} else if v.Owned {
			here = "NOT IN THE KERNEL"
		}
		rows = append(rows, row(v.Protocol+" "+v.Address.String(), v.Scheduler, here, "", "", "", "", "", ""))
		for _, r := range v.Servers {
			weight := fmt.Sprint(r.Weight)
			if !v.Programmed {
				weight = fmt.Sprintf("(%d)", r.Wanted)
			}
			rows = append(rows, row("", "", "-> "+r.Address.String(), weight, r.Health, age(now, r.Since), r.Active, r.Inactive, r.Reason))
		}
	}
	table(w, rows...)
}

func printL7(w io.Writer, s l7.Status, now time.Time) {
	state := "ready"
	if !s.Ready {
		state = "NOT READY: " + s.Reason
	}
	fmt.Fprintf(w, "\n  proxy %s: %d routes, %d backends, %d endpoints, %d certificates\n",
		state, s.Routes, s.Backends, s.Endpoints, len(s.Certificates))
	if s.Source != nil {
		fmt.Fprintf(w, "  from %s, changed %s ago\n", s.Source.From, age(now, s.Source.Changed))
		if s.Source.Err != "" {
			fmt.Fprintf(w, "  ! cannot be read for %s, what was read before is served: %s\n", age(now, s.Source.ErrSince), s.Source.Err)
		}
		for _, p := range s.Source.Problems {
			fmt.Fprintf(w, "  ! %s\n", p)
		}
	}
	for _, p := range s.Problems {
		fmt.Fprintf(w, "  ! %s\n", p)
	}
	for _, f := range s.CertificateFaults {
		fmt.Fprintf(w, "  ! %s\n", f)
	}
}
