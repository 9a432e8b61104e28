package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/daemon"
)

// realtimeCommand is for the director's unit: whoever starts the director may do
// what its sandbox forbids it.
func realtimeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "realtime PID",
		Short: "Let a director go before all ordinary programs",
		Long: "Realtime gives all threads of a process the lowest realtime priority, so that adverts\n" +
			"are not late where all processors are taken. It needs root. The package's unit runs it\n" +
			"behind each start of the director.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errUsage{fmt.Errorf("%s takes the number of one process", c.CommandPath())}
			}
			return nil
		},
		Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			pid, err := strconv.Atoi(args[0])
			if err != nil || pid < 1 {
				return errUsage{fmt.Errorf("no process %q", args[0])}
			}
			if err := daemon.BeRealtime(pid); err != nil {
				return fmt.Errorf("adverts may be late under load: no realtime scheduling: %w", err)
			}
			return nil
		},
	}
}
