package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/l4"
)

// printL4 prints what `ipvsadm -Ln --stats` shows, and why a server has the
// weight it has. What goes out is shown where there is any: by nat alone
// answers pass this node.
func printL4(w io.Writer, s l4.Status, now time.Time) {
	if s.LastError != "" {
		fmt.Fprintf(w, "\n  ! %s\n", s.LastError)
	}
	if len(s.Services) == 0 {
		return
	}
	fmt.Fprintln(w)
	out := slices.ContainsFunc(s.Services, func(v l4.ServiceStatus) bool { return v.Forward == "nat" || v.Stats.PacketsOut > 0 })
	counted := row("CONNS", "PACKETS", "BYTES")
	if out {
		counted = row("CONNS", "PACKETS", "BYTES", "PACKETS OUT", "BYTES OUT")
	}
	rows := []string{row("SERVICE", "SCHEDULER", "CARRIED BY", "SERVER", "WEIGHT", "HEALTH", "SINCE", "ACTIVE", "INACTIVE", "BOUND", counted, "REASON")}
	for _, v := range s.Services {
		here := "not owned here"
		if v.Programmed {
			here = "in the kernel"
		} else if v.Owned {
			here = "NOT IN THE KERNEL"
		}
		rows = append(rows, row(serviceName(v), scheduling(v), carrying(v), here, "", "", "", "", "", "", counters(v.Stats, out), v.Carrier.Reason))
		for _, r := range v.Servers {
			weight := fmt.Sprint(r.Weight)
			if !v.Programmed {
				weight = fmt.Sprintf("(%d)", r.Wanted)
			}
			rows = append(rows, row("", "", "", "-> "+serverName(r), weight, r.Health, age(now, r.Since), r.Active, r.Inactive, r.Persistent,
				counters(r.Stats, out), reason(v, r, now)))
		}
	}
	table(w, rows...)
	for _, d := range s.Drains {
		fmt.Fprintf(w, "  drained since %s: %s, %d connections left\n", age(now, d.Since), d.Target, d.Connections)
	}
	if s.Sync != nil {
		fmt.Fprintf(w, "  connections by multicast on %s, id %d: %s\n", s.Sync.Interface, s.Sync.ID, syncRoles(*s.Sync))
	}
}

// scheduling says how a service chooses, how packets get there, and how long a
// client stays: "wlc, nat, persistent 5m0s".
func scheduling(v l4.ServiceStatus) string {
	words := []string{v.Scheduler, strings.TrimSpace(v.Forward + " " + v.Tunnel)}
	if v.Persistence > 0 {
		words = append(words, "persistent "+(time.Duration(v.Persistence)*time.Second).String())
	}
	return strings.Join(words, ", ")
}

// carrying says what carries a service's packets: "xdp, native".
func carrying(v l4.ServiceStatus) string {
	if v.Mode == "" {
		return v.Dataplane
	}
	return v.Dataplane + ", " + v.Mode
}

// counters are the cells of what is counted, with what goes out or without.
func counters(s l4.Stats, out bool) string {
	in := row(s.Connections, s.PacketsIn, count(s.BytesIn))
	if !out {
		return in
	}
	return row(in, s.PacketsOut, count(s.BytesOut))
}

// syncRoles says which sync daemons run, by their names in ipvsadm.
func syncRoles(s l4.SyncStatus) string {
	switch {
	case s.Master && s.Backup:
		return "master and backup"
	case s.Master:
		return "master"
	case s.Backup && s.BackupOnly:
		return "backup only"
	case s.Backup:
		return "backup"
	}
	return "NOT RUNNING"
}

func serviceName(v l4.ServiceStatus) string {
	switch {
	case v.Mark == 0:
		return v.Protocol + " " + v.Address.String()
	case v.Address.Addr().Is6():
		return fmt.Sprintf("fwmark %d, IPv6", v.Mark)
	}
	return fmt.Sprintf("fwmark %d", v.Mark)
}

func serverName(r l4.ServerStatus) string {
	if r.Name == "" {
		return r.Address.String()
	}
	return r.Name + " " + r.Address.String()
}

// reason says why a server has not its whole weight, or one in spite of its
// health.
func reason(v l4.ServiceStatus, r l4.ServerStatus, now time.Time) string {
	var why []string
	if r.Reason != "" {
		why = append(why, r.Reason)
	}
	wantsNone := r.Percent != nil && *r.Percent == 0
	switch {
	case !v.Owned || !r.Drained.IsZero():
	case r.Health == "down" && r.Wanted > 0:
		why = append(why, "serves all the same: no server is up")
	case r.Health == "up" && r.Configured == 0:
		why = append(why, "its weight is 0 in the file")
	case r.Health == "up" && r.Wanted == 0 && !wantsNone:
		why = append(why, "too few servers are up")
	}
	if r.Percent != nil && *r.Percent < 100 {
		why = append(why, fmt.Sprintf("wants %d%% of its weight", *r.Percent))
	}
	if !r.Drained.IsZero() {
		why = append(why, "drained by command")
	}
	if !r.Until.IsZero() {
		why = append(why, "goes in "+max(0, r.Until.Sub(now)).Truncate(time.Second).String()+" at the latest")
	}
	if r.Sorry {
		why = append(why, "too few servers are up")
	}
	return strings.Join(why, "; ")
}

// count prints a number of bytes in three or four digits.
func count(n uint64) string {
	const units = "KMGTPE"
	if n < 10_000 {
		return fmt.Sprint(n)
	}
	i, f := -1, float64(n)
	for f >= 9_999.5 || i < 0 {
		f /= 1000
		i++
	}
	return fmt.Sprintf("%.0f%c", f, units[i])
}
