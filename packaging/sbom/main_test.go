package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
)

// TestDocument shows that this test's own binary is described: its libraries
// with their versions, twice alike.
func TestDocument(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := run(w, []string{self, "1.2.3+4"}, "1700000000"); err != nil {
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
	versions := map[string]string{}
	for _, c := range *bom.Components {
		versions[c.Name] = c.Version
	}
	for _, module := range []string{"std", "github.com/CycloneDX/cyclonedx-go"} {
		if versions[module] == "" {
			t.Errorf("%s is missing among %v", module, versions)
		}
	}
}

// TestRefusals shows what is said of a wrong call.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		args  []string
		epoch string
	}{{nil, "0"}, {[]string{"/nowhere", "1"}, "0"}, {[]string{os.Args[0], "1"}, "today"}} {
		if err := run(&bytes.Buffer{}, c.args, c.epoch); err == nil {
			t.Errorf("%q with the date %q: no error", c.args, c.epoch)
		}
	}
}
