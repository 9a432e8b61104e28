package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// imports runs import, and returns what it prints.
func imports(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), env{stdout: &out, stderr: &errs, args: append([]string{"import"}, args...)})
	return code, out.String(), errs.String()
}

const samples = "../internal/importer/testdata/"

func TestImportToStdout(t *testing.T) {
	code, out, errs := imports(t, samples+"vrrp.conf", samples+"edge.toml")
	if code != exitOK || !strings.Contains(out, "[[vip]]") || !strings.Contains(out, "[l7.kubernetes]") {
		t.Errorf("exits %d\n%s%s", code, out, errs)
	}
	if strings.Contains(out+errs, "1111") || strings.Contains(out+errs, "c2ln") {
		t.Errorf("a secret is shown:\n%s%s", out, errs)
	}
	if !strings.Contains(errs, "vrrp.conf:11: no counterpart: vrrp_garp_master_refresh") {
		t.Errorf("what is lost is not told:\n%s", errs)
	}
	checkTOML(t, "imported.toml", []byte(out))
}

func TestImportToFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "portico.toml")
	if code, out, errs := imports(t, samples+"vrrp.conf", samples+"edge.toml", "-o", file); code != exitOK || strings.Count(out, ": written") != 3 {
		t.Fatalf("exits %d\n%s%s", code, out, errs)
	}
	for name, text := range map[string]string{"portico.toml": dir + "/token", "edge.password": "1111\n", "token": "e30"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(data), text) {
			t.Errorf("%s: %v\n%s", name, err, data)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), env{stdout: &out, stderr: &out, args: []string{"check", "-c", file}}); code != exitOK {
		t.Error(out.String())
	}
	if code, _, errs := imports(t, samples+"edge.toml", "-o", file); code != exitFailed || !strings.Contains(errs, "--force replaces it") {
		t.Errorf("replaced: %d, %s", code, errs)
	}
	if code, _, errs := imports(t, samples+"edge.toml", "-o", file, "--force"); code != exitOK {
		t.Errorf("not replaced: %d, %s", code, errs)
	}
}

func TestImportUsage(t *testing.T) {
	if code, _, _ := imports(t, samples+"vrrp.conf", samples+"sync.conf"); code != exitUsage {
		t.Errorf("two of a kind: exits %d", code)
	}
	if code, _, errs := imports(t, samples+"absent.conf"); code != exitFailed || !strings.Contains(errs, "absent.conf") {
		t.Errorf("an absent file: exits %d: %s", code, errs)
	}
	if code, _, errs := imports(t); code == exitOK {
		t.Errorf("without a file: exits %d: %s", code, errs)
	}
}
