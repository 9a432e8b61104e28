package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/l4/shield"
)

const denyPath = "/api/v1/deny"

func denyCommand(e env, path *string) *cobra.Command {
	c := &cobra.Command{
		Use:   "deny",
		Short: "Drop the packets of networks that attack",
		Long: "Deny has XDP on this node drop what a network sends to its services, before it costs\n" +
			"anything. Orders stand over reloads and restarts, until their time is over or the next\n" +
			"boot. Services that IPVS carries are not shielded: `portico status` shows who does.\n\n" +
			"It concerns this director alone: give the order on every node that may own the address.",
		Args: unknownCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(denyAddCommand(e, path), denyDelCommand(e, path), denyListCommand(e, path))
	return c
}

func denyAddCommand(_ env, path *string) *cobra.Command {
	var o shield.Order
	var length time.Duration
	c := &cobra.Command{
		Use:   "add NETWORK...",
		Short: "Drop the packets of networks",
		Long: "Add denies networks or addresses, such as 192.0.2.0/24, 192.0.2.7 or 2001:db8::/32.\n" +
			"One that is denied already is denied from now on as this order says.",
		Args: someNetworks,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("for") {
				o.For = length.String()
			}
			return orderEach(c, *path, args, o)
		},
	}
	c.Flags().DurationVar(&length, "for", 0, "how long; without, until portico deny del")
	c.Flags().StringVar(&o.Reason, "reason", "", "what the list shows")
	c.Flags().BoolVar(&o.Force, "force", false, "even if that hits this node, its peers, or everybody")
	return c
}

func denyDelCommand(_ env, path *string) *cobra.Command {
	return &cobra.Command{
		Use:     "del NETWORK...",
		Aliases: []string{"delete"},
		Short:   "Let networks in again",
		Long:    "Del takes back `portico deny add`, written the same way.",
		Args:    someNetworks,
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			ctx, cancel := context.WithTimeout(c.Context(), completeTime)
			defer cancel()
			l, err := askDenied(ctx, *path)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, d := range l.Denials {
				if name := d.Network.String(); d.By == shield.ByOrder && !slices.Contains(args, name) {
					names = append(names, name)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			return orderEach(c, *path, args, shield.Order{Off: true})
		},
	}
}

func someNetworks(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errUsage{fmt.Errorf("%s takes one NETWORK or more", c.CommandPath())}
	}
	return nil
}

// orderEach gives the order for each network, and tells of all that are
// refused.
func orderEach(c *cobra.Command, path string, networks []string, o shield.Order) error {
	socket, err := directorSocket(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, o.Network = range networks {
		err := admin.Order(c.Context(), socket, denyPath, o)
		if errors.Is(err, admin.ErrNotRunning) {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func askDenied(ctx context.Context, path string) (l shield.List, err error) {
	socket, err := directorSocket(path)
	if err != nil {
		return l, err
	}
	return l, admin.Get(ctx, socket, denyPath, &l)
}

func denyListCommand(e env, path *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Show what is denied, for how long, and how many packets were dropped",
		Long: "List shows the networks of l4.shield and those of orders. It exits 1 where nothing is\n" +
			"dropped, for XDP does not run.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := askDenied(c.Context(), *path)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(e.stdout, l)
			} else {
				printDenied(e.stdout, l, time.Now())
			}
			if err == nil && l.Fault != "" {
				return errSilent
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON")
	return c
}

func printDenied(w io.Writer, l shield.List, now time.Time) {
	if l.Fault != "" {
		fmt.Fprintf(w, "  ! nothing is dropped: %s\n", l.Fault)
	}
	rows := []string{row("NETWORK", "DROPPED", "LEFT", "BY", "SINCE", "REASON")}
	for _, d := range l.Denials {
		left, since := "for ever", "-"
		if !d.Until.IsZero() {
			left = age(d.Until, now)
		}
		if !d.Since.IsZero() {
			since = ago(now, d.Since)
		}
		rows = append(rows, row(d.Network, d.Packets, left, d.By, since, d.Reason))
	}
	table(w, rows...)
}
