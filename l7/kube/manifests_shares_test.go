package kube

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// sharedFile is larger than several shares, and so are two documents of it.
func sharedFile() string {
	large := "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: large\n  annotations: { a: '" + strings.Repeat("x\n---x\n", share/2) + "' }\n"
	var b strings.Builder
	for i := range 5 {
		b.Write(manyManifests(200 + i))
		b.WriteString(large + strings.Repeat("# ---\n", i) + "---\nkind: {\n--- \n---\t\n---\r\n")
		if i == 2 {
			b.WriteString("---")
		}
	}
	return b.String()
}

// Whatever the reads and the shares, the documents are those of the text.
func TestSharesAreTheWhole(t *testing.T) {
	text := sharedFile()
	for name, text := range map[string]string{
		"large": text, "ends in dashes": text + "---", "ends in a blank": text + "--- ", "no end": strings.TrimSpace(text),
		"small": text[:100], "empty": "", "a share": text[:share], "a share and dashes": text[:share-4] + "\n---", "mark": byteOrderMark,
		"marked": byteOrderMark + text,
	} {
		t.Run(name, func(t *testing.T) {
			var want parsed
			want.yamls(place{file: "x.yaml", line: 1}, []byte(strings.TrimPrefix(text, byteOrderMark)))
			for i, r := range []io.Reader{
				strings.NewReader(text), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text)),
				iotest.OneByteReader(strings.NewReader(text)),
			} {
				got, size, err := parseFrom("x.yaml", r)
				if err != nil || size != len(text) {
					t.Errorf("%d: %d bytes of %d, %v", i, size, len(text), err)
				}
				if len(got.manifests) != len(want.manifests) || len(want.manifests) > 0 && !reflect.DeepEqual(got.manifests, want.manifests) {
					t.Errorf("%d: %d manifests, want %d", i, len(got.manifests), len(want.manifests))
				}
				if !reflect.DeepEqual(got.faults, want.faults) {
					t.Errorf("%d: faults %v, want %v", i, got.faults, want.faults)
				}
			}
		})
	}
}

func TestSharesStopAtAnError(t *testing.T) {
	broken := errors.New("broken")
	_, _, err := parseFrom("x.yaml", io.MultiReader(strings.NewReader(sharedFile()), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}

// What was read of a file that changed meanwhile takes no object away; at the
// start it is better than nothing.
func TestReadOfAChangingFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var f file
	write(ingress("a", "a.example") + ingress("b", "b.example"))
	f.read(dir, "x.yaml", stamp{inode: 1})
	if len(f.manifests) != 2 {
		t.Errorf("%d manifests at the start", len(f.manifests))
	}
	write(ingress("a", "a.example"))
	before := stamp{inode: 2}
	f.read(dir, "x.yaml", before)
	if len(f.manifests) != 2 || f.stamp != before {
		t.Errorf("%d manifests, stamp %v", len(f.manifests), f.stamp)
	}
	f.read(dir, "x.yaml", newStamp(path))
	if len(f.manifests) != 1 {
		t.Errorf("%d manifests once it rests", len(f.manifests))
	}
}
