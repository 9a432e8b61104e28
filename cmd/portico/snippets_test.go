package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents returns what people read: each Markdown file of the project.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../packaging/doc/*.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range append(paths, "../../README.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(p)] = string(text)
	}
	return out
}

var fence = regexp.MustCompile("(?ms)^```toml\n(.*?)^```$")

// TestSnippetsOfTOML checks every TOML block of the documents, and the files
// that the packages ship, as `portico check` does.
func TestSnippetsOfTOML(t *testing.T) {
	for name, text := range documents(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			checkTOML(t, name, []byte(m[1]))
		}
	}
	for _, path := range []string{"../../packaging/portico.toml", "../../packaging/minimal.toml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		checkTOML(t, filepath.Base(path), text)
	}
}

func checkTOML(t *testing.T, name string, text []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), env{stdout: &out, stderr: &out, args: []string{"check", "--config", path}}); code != exitOK {
		t.Errorf("%s: portico check exits %d:\n%s\n%s", name, code, out.String(), text)
	}
}

// command matches a command line of the documents: an indented or fenced line
// that begins with portico or make.
var command = regexp.MustCompile(`(?m)^(?:    |# |\$ )?((?:portico|make) [a-z][^#\n|>]*)`)

// TestSnippetsOfCommands: each command that the documents show exists, with
// the flags shown.
func TestSnippetsOfCommands(t *testing.T) {
	found := 0
	for name, text := range documents(t) {
		for _, m := range command.FindAllStringSubmatch(code(text), -1) {
			found++
			words := strings.Fields(m[1])
			if words[0] == "make" {
				cmd := exec.Command("make", append([]string{"-n", "-C", "../.."}, words[1:]...)...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %s: %v\n%s", name, m[1], err, out)
				}
				continue
			}
			var out bytes.Buffer
			if code := run(t.Context(), env{stdout: &out, stderr: &out, args: append(words[1:], "--help")}); code != exitOK {
				t.Errorf("%s: %s: exits %d\n%s", name, m[1], code, out.String())
			}
		}
	}
	if found == 0 {
		t.Error("no command found in any document")
	}
}

// code returns the indented and the fenced lines of a document.
func code(text string) string {
	var out []string
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		} else if fenced || strings.HasPrefix(line, "    ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// TestLayout: architecture.md names every folder, and none that is not there.
func TestLayout(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "ls-files").Output()
	if err != nil {
		t.Skip("no repository: ", err) // of a tarball
	}
	text := documents(t)["architecture.md"]
	for path := range strings.Lines(string(out)) {
		dir := filepath.Dir(strings.TrimSpace(path))
		if parts := strings.Split(dir, "/"); parts[0] == "test" || parts[0] == "web" || parts[0] == "bpf" {
			dir = strings.Join(parts[:min(2, len(parts))], "/")
		}
		if strings.Contains(dir, "testdata") || strings.HasPrefix(dir, ".") || dir == "test" || dir == "cmd/internal/admin/dashboard/files" {
			continue
		}
		if !strings.Contains(text, "`"+dir+"`") {
			t.Errorf("architecture.md does not name %s", dir)
		}
	}
	for _, m := range regexp.MustCompile("`((?:cmd|internal|vip|l4|l7|health|packaging|test|web)/[a-z0-9./]+)`").FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Errorf("architecture.md names %s: %v", m[1], err)
		}
	}
}
