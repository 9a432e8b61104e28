package package_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// accepted are what lintian and rpmlint say of the packages that is meant so,
// each with its reason.
var accepted = map[string]string{
	"copyright-file-contains-full-apache-2-license": "the licences of modules stand there word by word",
	"statically-linked-binary":                      "Go's way",
	"no-binary":                                     "rpmlint does not know a static binary for one",
	"only-non-binary-in-usr-lib":                    "units, sysusers.d and sysctl.d belong there",
	"maintainer-script-calls-systemctl":             "what runs is taken over by SIGUSR2, which no helper can do",
	"recursive-privilege-change":                    "the group that owns the files goes",
	"non-standard-dir-perm":                         "secrets lie there",
	"non-standard-file-perm":                        "it may hold secrets",
	"non-standard-gid":                              "the proxy reads by its group",
	"non-readable":                                  "it may hold secrets",
	"unknown-field":                                 "License: for tools that look there",
	"invalid-license":                               "SPDX's name, which this rpmlint does not know yet",
	"not-listed-as-documentation":                   "the packager marks no documentation found by pattern",
	"no-manual-page-for-binary":                     "this rpmlint keeps a page's section where its name should be",
	"manpage-not-compressed":                        "gzip, as both families take it",
	"no-changelogname-tag":                          "CHANGELOG.md is in the package",
	"no-signature":                                  "who publishes a repository signs it",
	"non-coherent-filename":                         "deb and rpm are named alike",
	"dangerous-command-in-%postun":                  "rm of /run/portico and /var/lib/portico",
}

// TestLint has Debian's and Red Hat's critics read the packages, and packs one
// binary once more: the same commit must give the same bytes.
func TestLint(t *testing.T) {
	if os.Getenv("PORTICO_LAB") == "" {
		t.Skip("builds packages: set PORTICO_LAB=1")
	}
	dir, again := built(t), t.TempDir()
	repository(t, "packaging/build", "v"+newVersion, filepath.Join(dir, "portico-"+newVersion), again)
	for _, kind := range []string{"deb", "rpm"} {
		name := "portico_" + newVersion + "_amd64." + kind
		if !bytes.Equal(readBytes(t, filepath.Join(dir, name)), readBytes(t, filepath.Join(again, name))) {
			t.Errorf("%s: packed twice, it differs (it has the date of the latest commit: was there one just now?)", name)
		}
		critic := []string{"rpmlint"}
		if kind == "deb" {
			critic = []string{"lintian", "--allow-root", "--fail-on=none"}
		}
		// Their exit statuses count what is accepted here.
		out, _ := try(t.Context(), critic[0], append(critic[1:], filepath.Join(dir, name))...)
		said := complaint.FindAllStringSubmatch(out, -1)
		if len(said) == 0 {
			t.Errorf("%s: no word of the accepted ones, was it read?\n%s", name, out)
		}
		for _, line := range said {
			if accepted[line[1]] == "" {
				t.Errorf("%s: %s", name, line[0])
			}
		}
	}
}

// complaint is a line of either program, the tag in the group.
var complaint = regexp.MustCompile(`(?m)^(?:[EW]: portico: |portico\.x86_64: [EW]: )(\S+).*$`)

func readBytes(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
