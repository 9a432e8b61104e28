package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/importer"
)

func importCommand(e env) *cobra.Command {
	var out, id string
	var force bool
	c := &cobra.Command{
		Use:   "import FILE...",
		Short: "Write a configuration from those of keepalived and Traefik 1.7",
		Long: "Import reads keepalived.conf with what it includes, the static configuration of Traefik\n" +
			"1.7 (a file that ends in .toml), or both, and prints a portico.toml that says of each line\n" +
			"where it comes from. What has no counterpart, or was wrong in the source, is told on\n" +
			"standard error and in the text. With --output it goes to a file, and secrets of the source\n" +
			"to files beside it.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			o := importer.OS(importer.Options{})
			o.ID = id
			for _, a := range args {
				place := &o.Keepalived
				if filepath.Ext(a) == ".toml" {
					place = &o.Traefik
				}
				if *place != "" {
					return errUsage{fmt.Errorf("%s and %s are of the same kind: a file of Traefik ends in .toml, one of keepalived does not", *place, a)}
				}
				*place = a
			}
			if out != "" {
				abs, err := filepath.Abs(out)
				if err != nil {
					return err
				}
				out, o.Folder = abs, filepath.Dir(abs)
			}
			r, err := importer.Import(o)
			if err != nil {
				return err
			}
			return writeImport(e, r, out, force)
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "file to write; beside it, secrets")
	c.Flags().BoolVar(&force, "force", false, "replace files that are there")
	c.Flags().StringVarP(&id, "id", "i", "", "keepalived's --config-id: lines of the source that begin with @ID count")
	return c
}

// writeImport writes the secrets first: the configuration is checked with
// them.
func writeImport(e env, r *importer.Result, out string, force bool) error {
	if out != "" && !force {
		for _, path := range append([]string{out}, secretPaths(r)...) {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there: --force replaces it", path)
			}
		}
	}
	for _, s := range r.Secrets {
		if err := writeSecret(s.Path, s.Data); err != nil {
			return err
		}
	}
	settled := r.Settle(checkText)
	for _, n := range r.Notes {
		fmt.Fprintln(e.stderr, n)
	}
	if out == "" {
		fmt.Fprint(e.stdout, r.Text)
	} else {
		if err := writeSecret(out, r.Text); err != nil {
			return err
		}
		for _, path := range append([]string{out}, secretPaths(r)...) {
			fmt.Fprintf(e.stdout, "%s: written\n", path)
		}
	}
	if !settled {
		return errors.New("what was written has faults: see portico check")
	}
	return nil
}

func secretPaths(r *importer.Result) []string {
	var out []string
	for _, s := range r.Secrets {
		out = append(out, s.Path)
	}
	return out
}

// writeSecret writes a file that the group portico may read, or where there is
// no such group its owner alone.
func writeSecret(path, text string) error {
	mode, gid := fs.FileMode(0o600), -1
	if g, err := user.LookupGroup("portico"); err == nil && os.Geteuid() == 0 {
		if n, err := strconv.Atoi(g.Gid); err == nil {
			mode, gid = 0o640, n
		}
	}
	f, err := renameio.NewPendingFile(path, renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }() // of what was not renamed
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	if gid >= 0 {
		if err := f.Chown(0, gid); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// checkText checks a configuration as `portico check` does.
func checkText(text string) []importer.Fault {
	dir, err := os.MkdirTemp("", "portico-import-")
	if err != nil {
		return []importer.Fault{{Problem: err.Error()}}
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "portico.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return []importer.Fault{{Problem: err.Error()}}
	}
	_, err = config.Load(path, func(string) bool { return true })
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		return []importer.Fault{{Problem: err.Error()}}
	}
	out := make([]importer.Fault, len(faults))
	for i, f := range faults {
		out[i] = importer.Fault{Line: f.Line, Key: f.Key, Problem: f.Problem}
	}
	return out
}
