package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/l7"
)

func diffCommand(e env, path *string) *cobra.Command {
	var asJSON, whole bool
	c := &cobra.Command{
		Use:   "diff FILE|FOLDER...",
		Short: "Say what manifests would change before they are applied",
		Long: "Diff has this node's proxy read Kubernetes manifests as if they had been applied, and\n" +
			"prints the routes that would come, go or answer otherwise, new problems and conflicts,\n" +
			"and backends without endpoints. \"-\" is the standard input. Nothing is changed. It exits\n" +
			"1 when there would be a new problem or conflict.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p := l7.Proposal{Files: map[string][]byte{}, Whole: whole}
			for _, a := range args {
				if err := readManifests(a, p.Files); err != nil {
					return err
				}
			}
			socket, err := proxySocket(c, *path)
			if err != nil {
				return err
			}
			var d l7.Difference
			if err := admin.Ask(c.Context(), socket, "/api/v1/diff", p, &d); err != nil {
				return err
			}
			if asJSON {
				err = printJSON(e.stdout, d)
			} else {
				printDifference(e.stdout, d)
			}
			if err == nil && len(d.Problems)+len(d.Conflicts) > 0 {
				return errSilent
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON")
	c.Flags().BoolVar(&whole, "whole", false, "the manifests are all that is to be there: what they lack goes")
	return c
}

// readManifests reads a file, the YAML and JSON files of a folder, or with "-"
// the standard input.
func readManifests(name string, files map[string][]byte) error {
	if name == "-" {
		data, err := io.ReadAll(os.Stdin)
		files["standard input"] = data
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	names := []string{name}
	if info.IsDir() {
		names = nil
		for _, ext := range []string{"*.yaml", "*.yml", "*.json"} {
			found, err := filepath.Glob(filepath.Join(name, ext))
			if err != nil {
				return err
			}
			names = append(names, found...)
		}
		if slices.Sort(names); len(names) == 0 {
			return fmt.Errorf("%s: %w", name, errors.New("holds no .yaml, .yml or .json file"))
		}
	}
	for _, n := range names {
		if files[n], err = os.ReadFile(n); err != nil {
			return err
		}
	}
	return nil
}

func printDifference(w io.Writer, d l7.Difference) {
	if d.Empty() {
		fmt.Fprintf(w, "no change: %d routes\n", d.Routes)
		return
	}
	for _, r := range d.Removed {
		fmt.Fprintf(w, "- %s  %s\n", ruleText(&r), r.Origin)
	}
	for _, c := range d.Changed {
		fmt.Fprintf(w, "- %s  steps %s  %s\n", ruleText(&c.Before), steps(&c.Before), c.Before.Origin)
		fmt.Fprintf(w, "+ %s  steps %s  %s\n", ruleText(&c.After), steps(&c.After), c.After.Origin)
	}
	for _, r := range d.Added {
		fmt.Fprintf(w, "+ %s  %s\n", ruleText(&r), r.Origin)
	}
	for _, p := range d.Problems {
		fmt.Fprintf(w, "! %s\n", p)
	}
	for _, c := range d.Conflicts {
		fmt.Fprintf(w, "! %s never answers %s: %s has it\n", c.Loser.Origin, ruleText(&c.Loser), c.Winner.Origin)
	}
	for _, b := range d.Unready {
		fmt.Fprintf(w, "! %s has no endpoint: its routes would answer 503\n", b)
	}
	fmt.Fprintf(w, "%d added, %d changed, %d removed: %d routes then\n", len(d.Added), len(d.Changed), len(d.Removed), d.Routes)
}
