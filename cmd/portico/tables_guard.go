package main

import (
	"fmt"
	"io"

	"github.com/portico-lb/portico/l4/guard"
)

// printGuard prints whose packets are kept from being balanced twice.
func printGuard(w io.Writer, s guard.Status) {
	if s.LastError != "" {
		fmt.Fprintf(w, "  ! no guard against packets that bounce between directors: %s\n", s.LastError)
		return
	}
	if !s.On {
		return
	}
	known := 0
	for _, p := range s.Peers {
		if p.LeftOut == "" {
			known++
		}
	}
	fmt.Fprintf(w, "  guard: %d peers, %d of their packets delivered here past IPVS\n", known, s.Packets)
	for _, p := range s.Peers {
		if p.LeftOut != "" {
			fmt.Fprintf(w, "  guard: without %s: %s\n", p.Address, p.LeftOut)
		}
	}
}
