package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/CycloneDX/cyclonedx-go"
)

var repository = os.DirFS("../..")

// TestDocument shows that this test's own binary is described: its libraries
// with their versions, and the dashboard's, twice alike.
func TestDocument(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := run(w, repository, []string{self, "1.2.3+4"}, "1700000000"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two documents of one binary differ")
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(&first, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if got := bom.Metadata.Component.PackageURL; got != "pkg:golang/github.com/portico-lb/portico@1.2.3%2B4" {
		t.Errorf("the program is %s", got)
	}
	var urls []string
	for _, c := range *bom.Components {
		url, _, _ := strings.Cut(c.PackageURL, "@")
		urls = append(urls, url)
	}
	npm := slices.DeleteFunc(slices.Clone(urls), func(url string) bool { return !strings.HasPrefix(url, "pkg:npm/") })
	if want := []string{"pkg:npm/preact", "pkg:npm/uplot"}; !slices.Equal(npm, want) {
		t.Errorf("of the dashboard there are %v, want %v", npm, want)
	}
	for _, module := range []string{"pkg:golang/std", "pkg:golang/github.com/CycloneDX/cyclonedx-go"} {
		if !slices.Contains(urls, module) {
			t.Errorf("%s is missing among %v", module, urls)
		}
	}
	if refs := *(*bom.Dependencies)[0].Dependencies; len(refs) != len(urls) {
		t.Errorf("the program has %d parts, and %d are described", len(refs), len(urls))
	}
}

// TestRefusals shows what is said of a wrong call.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		args  []string
		epoch string
	}{{nil, "0"}, {[]string{"/nowhere", "1"}, "0"}, {[]string{os.Args[0], "1"}, "today"}} {
		if err := run(&bytes.Buffer{}, repository, c.args, c.epoch); err == nil {
			t.Errorf("%q with the date %q: no error", c.args, c.epoch)
		}
	}
}

// TestDashboard shows what is taken from the lock file, and that a dashboard
// which was built from another is not described by it.
func TestDashboard(t *testing.T) {
	const built = "# Licenses\n\n## @a/b - 1.2.3 (MIT)\n\nThe text of one.\n"
	const entry = `{"version": "1.2.3", "license": "MIT", "integrity": "sha512-AAEC/w=="}`
	for _, c := range []struct{ built, lock, fault string }{
		{built, `{"packages": {"node_modules/@a/b": ` + entry + `, "node_modules/c": {}}}`, ""},
		{built, `{"packages": {"node_modules/c": ` + entry + `}}`, `has "": make dashboard`},
		{strings.Replace(built, "1.2.3", "1.2.4", 1), `{"packages": {"node_modules/@a/b": ` + entry + `}}`, `has "1.2.3": make dashboard`},
		{built, `{"packages": {"node_modules/@a/b": {"version": "1.2.3", "integrity": "sha1-AAEC"}}}`, "want sha512"},
		{"# Licenses\n", `{}`, "names no package"},
		{built, `{`, "package-lock.json"},
	} {
		got, err := dashboard(fstest.MapFS{bundled: {Data: []byte(c.built)}, locked: {Data: []byte(c.lock)}})
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: got %v, want %q", c.lock, err, c.fault)
			}
			continue
		}
		if err != nil || len(got) != 1 || got[0].PackageURL != "pkg:npm/%40a/b@1.2.3" || (*got[0].Hashes)[0].Value != "000102ff" {
			t.Errorf("%s: got %+v, %v", c.lock, got, err)
		}
	}
}
