package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/daemon"
)

func runCommand(e env, path *string) *cobra.Command {
	var only []string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: "Run runs every part in this process, or those named with --only. It reloads the\n" +
			"configuration on SIGHUP, opens the access log anew on SIGUSR1, goes on as the\n" +
			"binary on disk on SIGUSR2, and stops in order on SIGTERM.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkParts(only); err != nil {
				return err
			}
			return daemon.Run(c.Context(), daemon.Options{
				ConfigPath: *path,
				Only:       only,
				Args:       e.args,
				Reload:     e.reload,
				Reopen:     e.reopen,
				Upgrade:    e.upgrade,
				Stderr:     e.stderr,
			})
		},
	}
	onlyFlag(c, &only, "parts to run")
	return c
}

// onlyFlag adds --only, a list of parts.
func onlyFlag(c *cobra.Command, only *[]string, usage string) {
	c.Flags().StringSliceVar(only, "only", nil, usage+", of "+strings.Join(daemon.PartNames, ",")+" (default all)")
	if err := c.RegisterFlagCompletionFunc("only", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return daemon.PartNames, cobra.ShellCompDirectiveNoFileComp
	}); err != nil {
		panic(err) // the flag is defined one line above
	}
}

func checkParts(only []string) error {
	for _, p := range only {
		if !slices.Contains(daemon.PartNames, p) {
			return errUsage{fmt.Errorf("--only %s: no such part: allowed are %s", p, strings.Join(daemon.PartNames, ", "))}
		}
	}
	return nil
}
