package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/daemon"
)

func versionCommand(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(e.stdout, "portico %s (%s, %s/%s)\n", daemon.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
