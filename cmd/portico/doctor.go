package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/doctor"
)

func doctorCommand(e env, path *string) *cobra.Command {
	var asJSON, quiet bool
	c := &cobra.Command{
		Use:   "doctor [CHECK...]",
		Short: "Look for what keeps this node from working, with cures",
		Long: "Doctor looks at the kernel, the network, the cluster and the files, and says of each\n" +
			"what it found, why that matters and which command mends it. It changes nothing, needs\n" +
			"no running portico, and says what it cannot see without being root. With CHECKs only\n" +
			"those are made, of " + strings.Join(doctor.Names(), ", ") + ".\n" +
			"It exits 1 when one fails.",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return doctor.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			for _, a := range args {
				if !slices.Contains(doctor.Names(), a) {
					return errUsage{fmt.Errorf("no check %q: there are %s", a, strings.Join(doctor.Names(), ", "))}
				}
			}
			n := doctor.ReadNode(c.Context(), *path)
			n.Progress = func(what string) { fmt.Fprintf(e.stderr, "%s ...\n", what) }
			found := doctor.Run(c.Context(), n, func(name string) bool { return len(args) == 0 || slices.Contains(args, name) })
			if asJSON {
				if err := printJSON(e.stdout, found); err != nil {
					return err
				}
			} else {
				printFindings(e.stdout, found, quiet)
			}
			if slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Verdict == doctor.Fail }) {
				return errSilent
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the findings as a JSON list")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "leave out what is well")
	return c
}

// printFindings prints a block for each, and how many there are of each
// verdict.
func printFindings(w io.Writer, found []doctor.Finding, quiet bool) {
	count := map[doctor.Verdict]int{}
	for _, f := range found {
		if count[f.Verdict]++; quiet && f.Verdict == doctor.OK {
			continue
		}
		fmt.Fprintf(w, "%-7s  %-14s  %s\n", f.Verdict, f.Check, f.Found)
		if f.Why != "" {
			fmt.Fprintf(w, "%26s%s\n", "", f.Why)
		}
		for _, c := range f.Cure {
			fmt.Fprintf(w, "%26s$ %s\n", "", c)
		}
	}
	fmt.Fprintf(w, "%d ok, %d warn, %d fail, %d skipped\n", count[doctor.OK], count[doctor.Warn], count[doctor.Fail], count[doctor.Skipped])
}
