package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/shield"
	"github.com/portico-lb/portico/l4/xdp"
)

// printShield prints what is dropped, and what was, where something is to be.
func printShield(w io.Writer, s shield.Status, x *xdp.Status, services *l4.Status) {
	if s.Fault != "" {
		fmt.Fprintf(w, "  ! shield: nothing is dropped: %s\n", s.Fault)
		return
	}
	if s.Configured+s.Ordered == 0 && s.SYNRate == 0 {
		return
	}
	var verdicts, events map[string]uint64
	if x != nil {
		verdicts, events = x.Verdicts, x.Events
	}
	if s.Configured+s.Ordered > 0 {
		fmt.Fprintf(w, "  shield: %d networks denied, %d by order; %d packets dropped\n", s.Configured+s.Ordered, s.Ordered, verdicts["drop_denied"])
	}
	if s.SYNRate > 0 {
		fmt.Fprintf(w, "  shield: %d connections a second and source, %d at once; %d SYNs dropped, %d connections not remembered\n",
			s.SYNRate, s.SYNBurst, verdicts["drop_syn_rate"], events["flow_bypassed"])
	}
	if bare := unshielded(services); len(bare) > 0 {
		fmt.Fprintf(w, "  shield: not before services that IPVS carries: %s\n", strings.Join(bare, ", "))
	}
}

// unshielded are the services that stand and that XDP does not carry.
func unshielded(s *l4.Status) (bare []string) {
	if s == nil {
		return nil
	}
	for _, v := range s.Services {
		if v.Programmed && v.Dataplane == string(l4.ByIPVS) {
			bare = append(bare, fmt.Sprintf("%s %s", v.Protocol, v.Address))
		}
	}
	return bare
}
