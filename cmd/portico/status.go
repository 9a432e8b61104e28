package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/bgp"
)

func statusCommand(e env, path *string) *cobra.Command {
	var asJSON bool
	var every time.Duration
	c := &cobra.Command{
		Use:   "status",
		Short: "Show who owns the VIPs, which servers are up, and what is proxied",
		Long: "Status asks the running director and proxy of this node. It exits 1 when none\n" +
			"answers, or when one of them reports something that needs a person.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && c.Flags().Changed("watch") {
				// Its value may be left out, so none is taken from the next word.
				if _, err := time.ParseDuration(args[0]); err == nil {
					return errUsage{fmt.Errorf("%s stands by itself: write --watch=%[1]s", args[0])}
				}
			}
			return noArgs(c, args)
		},
		RunE: func(c *cobra.Command, _ []string) error {
			show := func(w io.Writer) error { return showStatus(c.Context(), w, *path, asJSON) }
			if !c.Flags().Changed("watch") {
				return show(e.stdout)
			}
			if every < time.Second/10 {
				return errUsage{fmt.Errorf("--watch=%v: allowed are 100ms and more", every)}
			}
			return watch(c.Context(), e.stdout, every, !asJSON, show)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON")
	c.Flags().DurationVarP(&every, "watch", "w", 0, "show it again every `interval` until interrupted")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
	return c
}

// showStatus asks, and prints what it is told.
func showStatus(ctx context.Context, w io.Writer, path string, asJSON bool) error {
	s, err := askStatus(ctx, path)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(s); err != nil {
			return err
		}
	} else {
		printStatus(w, s, time.Now())
	}
	if !healthy(s) {
		return errSilent
	}
	return nil
}

// askStatus asks both processes. One that runs all parts answers for both.
func askStatus(ctx context.Context, path string) (daemon.Node, error) {
	// Only the sockets' paths are wanted, whatever else is wrong with the file.
	conf, err := config.Load(path, func(string) bool { return false })
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return daemon.Node{}, fmt.Errorf("%w: be root or in the group portico", err)
		}
		if conf, err = config.Defaults(); err != nil {
			return daemon.Node{}, err
		}
	}
	var s daemon.Node
	var errs []error
	ask := func(socket string) *daemon.Status {
		got := new(daemon.Status)
		if err := admin.Get(ctx, socket, "/api/v1/status", got); err != nil {
			errs = append(errs, err)
			return nil
		}
		return got
	}
	s.Director = ask(conf.Admin.Socket)
	if s.Director == nil || s.Director.L7 == nil {
		s.Proxy = ask(conf.Admin.L7Socket)
	}
	if s.Director == nil && s.Proxy == nil {
		return s, errors.Join(errs...)
	}
	for _, err := range errs {
		s.Missing = append(s.Missing, err.Error())
	}
	return s, nil
}

// healthy reports that nothing waits for a person: the configuration on disk
// is the one that runs, the kernel is as wanted, the proxy is ready.
func healthy(s daemon.Node) bool {
	if len(s.Missing) > 0 {
		return false
	}
	for _, d := range []*daemon.Status{s.Director, s.Proxy} {
		if d == nil {
			continue
		}
		if d.Config.Error != "" || d.VIP != nil && !soundVIP(*d.VIP) ||
			d.L4 != nil && d.L4.LastError != "" || d.XDP != nil && d.XDP.LastError != "" || d.Nodes != nil && !soundNodes(*d.Nodes) ||
			d.Shield != nil && d.Shield.Fault != "" || d.XDP != nil && d.XDP.Cookies != nil && d.XDP.Cookies.Fault != "" ||
			d.PodRoutes != nil && len(d.PodRoutes.Faults) > 0 || d.L7 != nil && !d.L7.Ready {
			return false
		}
	}
	return true
}

// soundVIP reports that the addresses stand as wanted, nobody else claims them,
// and where they are announced by BGP, to all neighbors.
func soundVIP(s vip.Status) bool {
	if s.BGP != nil && (s.BGP.LastError != "" || slices.ContainsFunc(s.BGP.Sessions, func(n bgp.Session) bool { return !n.Up() })) {
		return false
	}
	return s.LastError == "" && !slices.ContainsFunc(s.Groups, func(g vip.GroupStatus) bool {
		return g.LastError != "" || g.Owned && len(g.Duplicates) > 0
	})
}

func printStatus(w io.Writer, s daemon.Node, now time.Time) {
	for _, d := range []*daemon.Status{s.Director, s.Proxy} {
		if d == nil {
			continue
		}
		fmt.Fprintf(w, "portico %s on %s, up %s, configuration %s read %s ago\n",
			d.Version, d.Node, age(now, d.Started), d.Config.Path, age(now, d.Config.Loaded))
		if d.Config.Error != "" {
			fmt.Fprintf(w, "  ! the file was refused %s ago, the one before runs:\n    %s\n", age(now, d.Config.Failed), d.Config.Error)
		}
		if d.Admin.LastError != "" {
			fmt.Fprintf(w, "  ! no dashboard, no metrics: %s\n", d.Admin.LastError)
		}
		if d.VIP != nil {
			printVIP(w, *d.VIP, now)
			printNotify(w, d.Notify)
		}
		if d.L4 != nil {
			printL4(w, *d.L4, now)
		}
		if d.XDP != nil {
			printXDP(w, *d.XDP)
		}
		if d.Shield != nil {
			printShield(w, *d.Shield, d.XDP, d.L4)
		}
		if d.Guard != nil {
			printGuard(w, *d.Guard)
		}
		if d.Nodes != nil {
			printNodes(w, *d.Nodes, now)
		}
		if d.PodRoutes != nil {
			printPodRoutes(w, *d.PodRoutes, now)
		}
		if d.L7 != nil {
			printL7(w, *d.L7, now)
		}
		fmt.Fprintln(w)
	}
	for _, m := range s.Missing {
		fmt.Fprintf(w, "! %s\n", m)
	}
}

// age says how long ago t was, as coarsely as people do.
func age(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := now.Sub(t); {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}
