package main

import (
	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/daemon"
)

func flushCommand(e env, path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "flush",
		Short: "Remove what a stopped portico left in the kernel",
		Long: "Flush removes portico's virtual services from IPVS, its XDP program and\n" +
			"addresses from the interfaces and lo, and restores the sysctls it had set. Nothing else is touched.\n" +
			"Stop portico first.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return daemon.Flush(c.Context(), *path, e.stderr)
		},
	}
}
