package l7

import (
	"os"
	"path/filepath"
	"testing"
)

// TestResetKey: the process after this one has the same key, another node has
// another one, and where none can be kept there is one nevertheless.
func TestResetKey(t *testing.T) {
	key := func(dir string) [32]byte {
		t.Helper()
		k, err := newResetKey(dir)
		if err != nil {
			t.Error(err)
		}
		return *k
	}
	here := t.TempDir()
	first := key(here)
	one, other := key(""), key("")
	if key(here) != first || key(t.TempDir()) == first || one == other {
		t.Error("keys are not one a folder")
	}
	info, err := os.Stat(filepath.Join(here, resetKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(here, resetKeyFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := key(here); again == first || key(here) != again {
		t.Error("half a key is used, or not replaced")
	}
	if k, err := newResetKey(filepath.Join(here, "missing")); err == nil || *k == ([32]byte{}) {
		t.Errorf("%v, %v where none can be kept", k, err)
	}
}
