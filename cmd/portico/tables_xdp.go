package main

import (
	"fmt"
	"io"

	"github.com/portico-lb/portico/l4/xdp"
)

// printXDP prints where XDP runs, why not elsewhere, and what it has done with
// the frames that were for a service.
func printXDP(w io.Writer, s xdp.Status) {
	if s.LastError != "" {
		fmt.Fprintf(w, "  ! xdp: %s\n", s.LastError)
	}
	sent := s.Verdicts["send"] + s.Verdicts["send_other"]
	passed := uint64(0)
	for _, why := range []string{"fenced", "peer", "local", "no_backend", "far", "unresolved", "vlan", "ftp_data"} {
		passed += s.Verdicts["pass_"+why]
	}
	for _, i := range s.Interfaces {
		if i.Mode == "" {
			fmt.Fprintf(w, "  xdp: not on %s: %s\n", i.Name, i.Reason)
			continue
		}
		fmt.Fprintf(w, "  xdp: %s on %s\n", i.Mode, i.Name)
	}
	if s.Layout != "" {
		fmt.Fprintf(w, "  xdp: %d packets sent on, %d left to the kernel, %d dropped\n", sent, passed, s.Verdicts["drop_denied"]+s.Verdicts["drop_syn_rate"])
	}
}
