package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/portico-lb/portico/test/edge"
)

// on runs a command on a node, shows both, and returns what it wrote.
func (d *demo) on(n *edge.Node, command string) string {
	d.t.Helper()
	return d.shell("ip netns exec " + n.Name() + " " + command)
}

// shell runs a command line, shows it with what it wrote, and returns that. A
// command that fails ends the demonstration.
func (d *demo) shell(line string) string {
	d.t.Helper()
	cmd := d.sh("-c", line)
	out, err := cmd.CombinedOutput()
	d.command(line, string(out))
	if err != nil {
		d.t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}

// sh is a shell that finds portico, in the laboratory's directory.
func (d *demo) sh(args ...string) *exec.Cmd {
	cmd := exec.Command("bash", args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(d.portico)+":"+os.Getenv("PATH"))
	return cmd
}

// relative is a path as commands in the laboratory's directory name it.
func (d *demo) relative(path string) string {
	return strings.TrimPrefix(path, d.dir+"/")
}
