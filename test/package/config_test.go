package package_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestConfigurations checks every configuration that the packages ship: what
// is written there for the operator must be what this version understands.
func TestConfigurations(t *testing.T) {
	dir := t.TempDir()
	portico := filepath.Join(dir, "portico")
	repository(t, "go", "build", "-o", portico, "./cmd/portico")
	shipped := read(t, "../../packaging/portico.toml")
	for name, text := range map[string]string{
		"minimal.toml":                   read(t, "../../packaging/minimal.toml"),
		"portico.toml":                   shipped,
		"portico.toml with all its keys": uncommented(shipped),
		"portico.toml(5)":                example(t, read(t, "../../packaging/man/portico.toml.5")),
	} {
		path := filepath.Join(dir, "portico.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := try(t.Context(), portico, "check", "--config", path)
		if err == nil {
			continue
		}
		faults := fault.FindAllString(err.Error(), -1)
		faults = slices.DeleteFunc(faults, func(f string) bool { return text == uncommented(shipped) && excluded.MatchString(f) })
		if len(faults) > 0 || !fault.MatchString(err.Error()) {
			t.Errorf("%s: %v\n%q", name, err, faults)
		}
	}
}

// fault matches a line of `portico check`.
var fault = regexp.MustCompile(`portico\.toml:\d+:\d+: .*`)

// excluded matches faults of keys that are understood, and only do not belong
// together or need what is not on this machine.
var excluded = regexp.MustCompile("has this one member|has no effect|have no effect|no such file or directory|stands (without|beside)|differs from the service's port")

// uncommented gives effect to the keys behind "#", but for the sources of
// routes that exclude the one that stands there.
func uncommented(text string) string {
	text = regexp.MustCompile(`(?m)^#(kubeconfig|endpoints|token_file|ca_file)`).ReplaceAllString(text, "# $1")
	return regexp.MustCompile(`(?m)^#([a-z0-9_]+ *=|\[)`).ReplaceAllString(text, "$1")
}

// example is the literal block of a manual page.
func example(t *testing.T, page string) string {
	_, text, begun := strings.Cut(page, ".Bd -literal -offset indent\n")
	text, _, ended := strings.Cut(text, ".Ed\n")
	if !begun || !ended {
		t.Fatal("no example in the manual page")
	}
	return text
}

// TestManual lets mandoc find what is wrong with the pages.
func TestManual(t *testing.T) {
	run(t, "mandoc", "-T", "lint", "-W", "warning", "../../packaging/man/portico.1", "../../packaging/man/portico.toml.5")
}
