package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestZone: the proxy is told where the node is.
func TestZone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portico.toml")
	for zone, want := range map[string]string{
		"eu-central-1a": "",
		"":              "",
		"eu central":    `portico.toml:2:1: node.zone: "eu central" is no zone: want the value of topology.kubernetes.io/zone`,
	} {
		text := fmt.Sprintf("[node]\nzone = %q\n[[l7.entrypoint]]\nname = \"http\"\nlisten = \":80\"\n", zone)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, func(string) bool { return true })
		switch {
		case want == "" && (err != nil || c.L7.Zone != zone):
			t.Errorf("%q: got %q, %v", zone, c.L7.Zone, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want %q", zone, err, want)
		}
	}
}
