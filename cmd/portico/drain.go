package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/l4"
)

const drainPath = "/api/v1/drain"

func drainCommand(e env, path *string) *cobra.Command {
	var wait bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "drain SERVER",
		Short: "Give a server no new connections, and keep those it has",
		Long: "Drain asks this node's director to give SERVER weight 0 in its services until\n" +
			"`portico undrain`, also over reloads and restarts. SERVER is the name of a server\n" +
			"in the configuration, its ADDRESS or ADDRESS:PORT, or SERVICE/ before one of these.\n\n" +
			"It concerns this director alone. So that a server stays out when an address moves,\n" +
			"give the order on every node that may own it.",
		Args:              oneServer,
		ValidArgsFunction: serverNames(path),
		RunE: func(c *cobra.Command, args []string) error {
			socket, err := directorSocket(*path)
			if err != nil {
				return err
			}
			if err := admin.Order(c.Context(), socket, drainPath, daemon.Drain{Target: args[0]}); err != nil {
				return err
			}
			if !wait {
				return nil
			}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			return waitDrained(ctx, e.stdout, args[0], func() (daemon.Status, error) {
				var s daemon.Status
				return s, admin.Get(ctx, socket, "/api/v1/status", &s)
			})
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "return when its last connection here has ended")
	c.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait at most")
	return c
}

func undrainCommand(_ env, path *string) *cobra.Command {
	return &cobra.Command{
		Use:               "undrain SERVER",
		Short:             "Give a drained server connections again",
		Long:              "Undrain takes back `portico drain SERVER`, written the same way.",
		Args:              oneServer,
		ValidArgsFunction: drainedNames(path),
		RunE: func(c *cobra.Command, args []string) error {
			socket, err := directorSocket(*path)
			if err != nil {
				return err
			}
			return admin.Order(c.Context(), socket, drainPath, daemon.Drain{Target: args[0], Off: true})
		},
	}
}

func oneServer(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errUsage{fmt.Errorf("%s takes one SERVER", c.CommandPath())}
	}
	return nil
}

// waitDrained returns when the servers of a target have no connections left in
// this node's dataplane, and prints how many they have meanwhile.
func waitDrained(ctx context.Context, w io.Writer, target string, ask func() (daemon.Status, error)) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	// Two looks: a connection that opened in the last moment is not counted
	// before it is established.
	for shown, quiet := -1, 0; ; {
		s, err := ask()
		if err != nil && ctx.Err() != nil {
			return notYet(target, shown, ctx.Err())
		}
		if err != nil {
			return err
		}
		d, err := drainOf(s, target)
		if err != nil {
			return err
		}
		switch {
		case d.Programmed == 0:
			fmt.Fprintln(w, "this node balances none of its services: nothing to wait for here")
			return nil
		case d.Serving > 0 || d.Connections > 0:
			quiet = 0
		default:
			quiet++
		}
		// While one still serves, the count is not of what is left.
		if d.Serving == 0 && d.Connections != shown {
			fmt.Fprintf(w, "%s: %d connections left\n", target, d.Connections)
			shown = d.Connections
		}
		if quiet == 2 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return notYet(target, d.Connections, ctx.Err())
		}
	}
}

// notYet is the error of a wait that ended first; left is -1 where the number
// of connections is not known.
func notYet(target string, left int, err error) error {
	if left < 0 {
		return fmt.Errorf("%s is not drained yet, and stays out of service: %w", target, err)
	}
	return fmt.Errorf("%s is not drained yet, and stays out of service: %d connections left: %w", target, left, err)
}

func drainOf(s daemon.Status, target string) (l4.DrainStatus, error) {
	if s.L4 != nil {
		for _, d := range s.L4.Drains {
			if d.Target == target {
				return d, nil
			}
		}
	}
	return l4.DrainStatus{}, fmt.Errorf("%s was given back meanwhile", target)
}

// directorSocket is where the director listens. Only the socket's path is
// wanted, whatever else is wrong with the file.
func directorSocket(path string) (string, error) {
	c, err := config.Load(path, func(string) bool { return false })
	if err != nil {
		if c, err = config.Defaults(); err != nil {
			return "", err
		}
	}
	return c.Admin.Socket, nil
}

// completeTime is how long a shell that was asked for words may wait for those
// that only a director knows.
const completeTime = time.Second

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// serverNames completes the names and addresses of the running director's
// servers.
func serverNames(path *string) completion {
	return complete(path, func(s l4.Status) (names []string) {
		for _, v := range s.Services {
			for _, r := range v.Servers {
				if r.Name != "" {
					names = append(names, r.Name)
				}
				names = append(names, r.Address.Addr().String())
			}
		}
		return names
	})
}

func drainedNames(path *string) completion {
	return complete(path, func(s l4.Status) (names []string) {
		for _, d := range s.Drains {
			names = append(names, d.Target)
		}
		return names
	})
}

func complete(path *string, names func(l4.Status) []string) completion {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), completeTime)
		defer cancel()
		socket, err := directorSocket(*path)
		var s daemon.Status
		if len(args) > 0 || err != nil || admin.Get(ctx, socket, "/api/v1/status", &s) != nil || s.L4 == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list := names(*s.L4)
		slices.Sort(list)
		return slices.Compact(list), cobra.ShellCompDirectiveNoFileComp
	}
}
