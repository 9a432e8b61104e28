package bpf_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGenerated compiles the program once more, in another folder: the result
// is, byte for byte, what is checked in.
func TestGenerated(t *testing.T) {
	if os.Getenv("PORTICO_GENERATE") == "" {
		t.Skip("needs clang-19: make test-generate")
	}
	dir := t.TempDir()
	var generated []string
	for _, pattern := range []string{"*.c", "*.h", "gen.go", "*_bpfel.*", "../go.mod", "../go.sum"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, files, err)
		}
		if pattern == "*_bpfel.*" {
			generated = files
			continue
		}
		for _, f := range files {
			put(t, filepath.Join(dir, filepath.Base(f)), get(t, f))
		}
	}
	cmd := exec.Command("go", "generate", ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range generated {
		if !bytes.Equal(get(t, f), get(t, filepath.Join(dir, f))) {
			t.Errorf("%s is not what its source says: run make generate", f)
		}
	}
}

func get(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
