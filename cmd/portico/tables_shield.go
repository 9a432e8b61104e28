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
	if s.Configured+s.Ordered == 0 && s.SYNRate == 0 && s.SYNCookies == 0 {
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
	if s.SYNCookies > 0 && x != nil && x.Cookies != nil {
		printCookies(w, *x.Cookies, events)
	}
	if bare := unshielded(services); len(bare) > 0 {
		fmt.Fprintf(w, "  shield: not before services that IPVS carries: %s\n", strings.Join(bare, ", "))
	}
}

// printCookies prints how SYNs are answered with cookies.
func printCookies(w io.Writer, s xdp.CookieStatus, events map[string]uint64) {
	back := fmt.Sprintf("%d came back, %d were false", events["cookie_good"], events["cookie_bad"])
	if s.ByKernel {
		back = "the kernel takes those that come back"
	}
	fmt.Fprintf(w, "  shield: SYN cookies above %d SYNs a second and port; %d sent, %s\n", s.Above, events["cookie_sent"], back)
	if s.Fault != "" {
		fmt.Fprintf(w, "  ! shield: SYN cookies: %s\n", s.Fault)
	}
	if len(s.Refusing) > 0 {
		fmt.Fprintf(w, "  ! shield: no SYN cookies for %s: the socket did not take a connection, as those of MPTCP do not; mend that and reload\n", strings.Join(s.Refusing, ", "))
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
