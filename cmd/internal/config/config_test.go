package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const withPassword = `[[vip]]
name = "edge"
addresses = ["192.0.2.10"]
interface = "eth0"
vrrp = { router_id = 51, version = 2, password = "s3cret" }
`

func TestLoadWantsSecretsKept(t *testing.T) {
	everything := func(string) bool { return true }
	path := filepath.Join(t.TempDir(), "portico.toml")
	for mode, want := range map[os.FileMode]string{0o640: "", 0o644: "portico.toml:5:39: vip[0].vrrp.password: everybody may read it here"} {
		// A byte order mark, as some editors write, is no fault.
		if err := os.WriteFile(path, []byte("\ufeff"+withPassword), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, everything)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%o: got %v, want %q", mode, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Error("the error shows the password")
		}
	}
}

func TestLoadPasswordFile(t *testing.T) {
	dir := t.TempDir()
	secret, path := filepath.Join(dir, "password"), filepath.Join(dir, "portico.toml")
	text := strings.Replace(withPassword, `password = "s3cret"`, `password_file = "`+secret+`"`, 1)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, func(string) bool { return true }); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, func(string) bool { return true })
	var faults Faults
	if !errors.As(err, &faults) || !strings.Contains(err.Error(), "chmod o-r "+secret) {
		t.Errorf("a password file that everybody may read gives %v", err)
	}
}
