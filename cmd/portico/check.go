package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/daemon"
)

func checkCommand(e env, path *string) *cobra.Command {
	var asJSON bool
	var only []string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration file and list all its faults",
		Long: "Check reads the file as run would, without touching anything, and prints every\n" +
			"fault with line, column and key. It exits 1 when there is one.",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkParts(only); err != nil {
				return err
			}
			_, err := config.Load(*path, daemon.Options{Only: only}.Wants)
			var faults config.Faults
			if err != nil && !errors.As(err, &faults) {
				return err
			}
			if asJSON {
				if faults == nil {
					faults = config.Faults{}
				}
				if err := json.NewEncoder(e.stdout).Encode(faults); err != nil {
					return err
				}
			} else {
				for _, f := range faults {
					fmt.Fprintln(e.stderr, f)
				}
			}
			if len(faults) > 0 {
				return errSilent
			}
			if !asJSON {
				fmt.Fprintf(e.stdout, "%s: no faults\n", *path)
			}
			return nil
		},
	}
	onlyFlag(c, &only, "parts whose sections to check beyond their shape")
	c.Flags().BoolVar(&asJSON, "json", false, "print the faults as a JSON list")
	return c
}
