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
			"fault with line, column and key. It exits 1 when there is one. What the file names\n" +
			"and run would wait for is a warning: a folder of manifests, a kubeconfig, and the\n" +
			"program by which that gets credentials.",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkParts(only); err != nil {
				return err
			}
			conf, err := config.Load(*path, daemon.Options{Only: only}.Wants)
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
				for _, w := range conf.Warnings {
					fmt.Fprintln(e.stderr, "warning:", w)
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
