package acme

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func texts(s ...string) Item {
	item := Item{}
	for i := 0; i < len(s); i += 2 {
		item[s[i]] = []byte(s[i+1])
	}
	return item
}

// What one edge writes another one sees at its next look, changed and deleted
// too; a file that is no item spoils none of the others, and is told.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	a, b := NewFiles(dir), NewFiles(dir)
	b.look()
	if b.Items() == nil {
		t.Fatal("an empty folder is not known")
	}
	key := hostKey(CertificateKind, "www.example.com")
	for _, text := range []string{"one", "two"} { // as long as the first
		if err := a.Store(t.Context(), key, texts(hostField, text)); err != nil {
			t.Fatal(err)
		}
		b.look()
		if got := string(b.Items()[key][hostField]); got != text {
			t.Errorf("seen is %q, want %q", got, text)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "certificate", "noise.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := challengeKey("Token_1")
	if err := a.Store(t.Context(), other, texts(tokenField, "Token_1")); err != nil {
		t.Fatal(err)
	}
	b.look()
	if len(b.Items()) != 2 || !strings.Contains(b.Status().Err, "noise.json") {
		t.Errorf("items %v, status %+v", b.Items(), b.Status())
	}
	if err := a.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	b.look()
	if _, ok := b.Items()[key]; ok || len(b.Items()) != 1 {
		t.Errorf("items after a deletion: %v", b.Items())
	}
	if item, err := b.Load(t.Context(), key); item != nil || err != nil {
		t.Errorf("a deleted item is loaded: %v, %v", item, err)
	}
	info, err := os.Stat(a.path(other))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// One of two has the lock, and its end frees it.
func TestFilesLock(t *testing.T) {
	dir := t.TempDir()
	a, b := NewFiles(dir), NewFiles(dir)
	lock, err := a.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.lock(); err == nil {
		t.Error("two have the lock")
	}
	lock.Close()
	if lock, err = b.lock(); err != nil {
		t.Error(err)
	}
	lock.Close()
}

// No key names anything outside of the folder of its kind.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"www.example.com", "..", "a/b", "a..b", "", ".", "-", "a_b", "\x00", strings.Repeat("a", 300)} {
		f.Add(s)
	}
	files := NewFiles("/folder")
	f.Fuzz(func(t *testing.T, name string) {
		key := Key{CertificateKind, name}
		if key.valid() != nil {
			return
		}
		if got := files.path(key); filepath.Dir(got) != "/folder/certificate" || filepath.Base(got) != name+".json" {
			t.Errorf("%q is the file %s", name, got)
		}
	})
}
