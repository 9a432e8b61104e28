package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckWarns: what the file names and is not there is told with its place,
// and is no fault: run waits for it.
func TestCheckWarns(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	kubeconfig := func(program string) string {
		return write("kubeconfig", fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://192.0.2.1:6443"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: %s, interactiveMode: Never}}}]
`, program))
	}
	for _, c := range []struct{ name, kubernetes, want string }{
		{"a folder", fmt.Sprintf("manifests = %q", dir), ""},
		{"no folder", `manifests = "/no/such/folder"`, ":2:1: l7.kubernetes.manifests: open /no/such/folder: no such file or directory"},
		{"no kubeconfig", `kubeconfig = "/no/such/file"`, ":2:1: l7.kubernetes.kubeconfig: stat /no/such/file: no such file or directory"},
		{"no program", fmt.Sprintf("kubeconfig = %q", kubeconfig("no-such-program")), `l7.kubernetes.kubeconfig: ` + dir + `/kubeconfig: its user has credentials by a program: exec: "no-such-program": executable file not found in $PATH: install it, or write its whole path`},
		{"no token", "endpoints = ['https://192.0.2.1:6443']\ntoken_file = '/no/such/token'", ":2:1: l7.kubernetes.endpoints: open /no/such/token: no such file or directory"},
	} {
		path := write("portico.toml", "[l7.kubernetes]\n"+c.kubernetes+"\n")
		var out, errs bytes.Buffer
		code := run(t.Context(), env{stdout: &out, stderr: &errs, args: []string{"check", "--config", path}})
		got, ok := strings.CutPrefix(errs.String(), "warning: "+path)
		if code != exitOK || ok != (c.want != "") || !strings.Contains(got, c.want) || !strings.Contains(out.String(), "no faults") {
			t.Errorf("%s: %d, %q, %q, want a warning %q", c.name, code, out.String(), errs.String(), c.want)
		}
	}
	program := write("program", "#!/bin/sh\n")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	path := write("portico.toml", fmt.Sprintf("[l7.kubernetes]\nkubeconfig = %q\n", kubeconfig("./program")))
	var out bytes.Buffer
	if run(t.Context(), env{stdout: &out, stderr: &out, args: []string{"check", "--config", path}}); strings.Contains(out.String(), "warning") {
		t.Errorf("a program beside its kubeconfig is not found: %s", out.String())
	}
}
