package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/bgp"
	"github.com/portico-lb/portico/vip/notify"
)

func printVIP(w io.Writer, s vip.Status, now time.Time) {
	if len(s.Groups) == 0 {
		fmt.Fprintln(w, "\nno virtual address is configured")
		return
	}
	fmt.Fprintln(w)
	rows := []string{row("VIP", "ADDRESSES", "INTERFACE", "STATE", "SINCE", "PRIORITY", "ACTIVE ROUTER", "REASON")}
	for _, g := range s.Groups {
		rows = append(rows, groupRow(g, now))
	}
	table(w, rows...)
	for _, g := range s.Groups {
		printGroupNotes(w, g, now)
	}
	if s.BGP != nil {
		printBGP(w, *s.BGP, now)
	}
	if s.LastError != "" {
		fmt.Fprintf(w, "  ! %s\n", s.LastError)
	}
}

func groupRow(g vip.GroupStatus, now time.Time) string {
	addrs := make([]string, len(g.Addresses))
	for i, a := range g.Addresses {
		addrs[i] = a.String()
	}
	state := g.State.String()
	if g.Adopting {
		state += " (adopting)"
	}
	active, priority := "-", "-"
	if g.Active.IsValid() {
		active = g.Active.String()
	}
	if g.Owner == vip.OwnerVRRP {
		priority = fmt.Sprint(g.EffectivePriority)
		if g.EffectivePriority != g.Priority {
			priority += fmt.Sprintf(" (of %d)", g.Priority)
		}
	}
	return row(g.Name, strings.Join(addrs, ","), g.Interface, state, age(now, g.Since), priority, active, g.Reason)
}

// printGroupNotes tells what a person may have to look at.
func printGroupNotes(w io.Writer, g vip.GroupStatus, now time.Time) {
	if g.LastError != "" {
		fmt.Fprintf(w, "  ! %s: %s\n", g.Name, g.LastError)
	}
	also := ""
	if g.Owned {
		also = "also "
	}
	for _, d := range g.Duplicates {
		fmt.Fprintf(w, "  ! %s: %v is %sclaimed by %v for %s\n", g.Name, d.Address, also, d.MAC, age(now, d.Since))
	}
	for _, r := range g.Track {
		if !r.Up && !r.Pending {
			fmt.Fprintf(w, "  ! %s: %s: %s for %s: %s\n", g.Name, r.Rule, r.Reason, age(now, r.Since), effect(r.Effect))
		}
	}
	if n := counts(g.Dropped); n != "" {
		fmt.Fprintf(w, "  %s: adverts not accepted: %s\n", g.Name, n)
	}
	if n := counts(g.Mismatches); n != "" {
		fmt.Fprintf(w, "  %s: adverts accepted that differ from ours: %s\n", g.Name, n)
	}
}

func effect(e string) string {
	switch e {
	case "":
		return "no effect"
	case "fault":
		return "the node does not take part"
	}
	return "priority " + e
}

// counts lists counters, but for our own datagrams, which are nobody's concern.
func counts(n map[string]uint64) string {
	var texts []string
	for _, k := range slices.Sorted(maps.Keys(n)) {
		if k != "own" && n[k] > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", n[k], k))
		}
	}
	return strings.Join(texts, ", ")
}

func printBGP(w io.Writer, s bgp.Status, now time.Time) {
	rows := []string{row("BGP NEIGHBOR", "AS", "STATE", "SINCE", "ROUTES", "BFD")}
	for _, n := range s.Sessions {
		bfd := "-"
		if n.BFD != "" {
			bfd = n.BFD
		}
		rows = append(rows, row(n.Neighbor, n.AS, n.State, age(now, n.Since), n.Announced, bfd))
	}
	fmt.Fprintln(w)
	table(w, rows...)
	for _, n := range s.Sessions {
		if n.LastError != "" {
			fmt.Fprintf(w, "  ! %v: %s\n", n.Neighbor, n.LastError)
		}
	}
	if s.LastError != "" {
		fmt.Fprintf(w, "  ! BGP: %s\n", s.LastError)
	}
}

// printNotify shows receivers that do not get what they should.
func printNotify(w io.Writer, targets []notify.TargetStatus) {
	for _, t := range targets {
		if t.LastError != "" {
			fmt.Fprintf(w, "  ! notify %s: %d sent, %d failed, %d dropped, %d waiting: %s\n", t.Name, t.Sent, t.Failed, t.Dropped, t.Waiting, t.LastError)
		}
	}
}
