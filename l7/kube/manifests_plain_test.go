package kube

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// plainDocuments are such that the library is not asked.
var plainDocuments = map[string]string{
	"nothing":            "# nothing\n",
	"block":              "a: b\nc:\n  d: 1\n  e:\n  - x\n  - u: z\n    w: true\n  -\n    v: null\nf:\n",
	"outdented comments": "a:\n  b: c\n# comment\n  d: e # comment\n\n    # comment\n  f: g#h\n",
	"flow":               "a: { b: c, d: [ 1, -2, x.y ], \"e\": 'f', }\ng: {}\nh: []\n",
	"quotes":             "a: \"b \\\"c\\\" \\\\ \\n\"\n'd e': 'it''s \"so\" \\'\n",
	"keys":               "kubernetes.io/service-name: x\n\"80\": x\n_z : w\n",
	"addresses":          "a: 10.0.0.1\nb: 6f1c2d3e-11e2-4b7a-9c2d-0242ac120002\nc: 30s\nd: 10Mi\ne: 2024-01-02T03:04:05Z\n",
	"numbers":            "a: 0\nb: 65535\nc: -1\nd: 12345678901234567\n",
	"literal":            "a: |\n  {\"b\": \"c\"}\n\n    d\n  # e\nf: |-\n  g\n",
	"literal at the end": "a:\n- |\n  b\n\n\n",
	"items in place":     "items:\n- apiVersion: v1\n  kind: Service\n- - a\n  - b\n- c\nkind: List\n",
	"dashes":             "---  # first\na: b-c\n",
	"colons":             "a: http://b:80/c\n",
	"a scalar":           "a\n",
	"the same keys":      "a:\n  a: { a: { b: c }, b: d }\n  b:\n  - a: b\n  - a: b\nb: a\n",
	"many keys":          manyKeys("k", 40) + "k:\n" + manyKeys("  k", 40),
}

// manyKeys is a block mapping of n keys that begin with name.
func manyKeys(name string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d: %d\n", name, i, i)
	}
	return b.String()
}

func TestPlainJSON(t *testing.T) {
	for name, doc := range plainDocuments {
		t.Run(name, func(t *testing.T) {
			if !comparePlain(t, []byte(doc)) {
				t.Errorf("left to the library: %q", doc)
			}
		})
	}
}

// What is not plain is left alone, whatever the library makes of it.
func TestPlainJSONLeaves(t *testing.T) {
	for _, doc := range []string{
		"a: b", "a:\tb\n", "a: b\r\n", "a: \u00fc\n", "a: b: c\n", "a: - b\n", "a: b\n  c\n", "a: 'b\n  c'\n",
		"a: &x b\nc: *x\n", "a: !!str 1\n", "a: yes\n", "a: 010\n", "a: 1e3\n", "a: 0x10\n", "a: 1_000\n", "a: ~\n",
		"a: 1.5\n", "a: >\n  b\n", "a: |2\n  b\n", "a: |\n\n  b\n", "a: b\na: c\n", "{ a: b, a: c }\n", "on: x\n", "1: x\n",
		"<<: { a: b }\n", "? a\n: b\n", "a: [ b\n]\n", "a: { b }\n", "a: [ b: c ]\n", "a: b\n c: d\n", " a: b\nc: d\n",
		manyKeys("k", 40) + "k39: x\n", manyKeys("k", 17) + "k0: x\n", "a: { b: c }\nd: { b: c, b: d }\n",
		"- a\nb: c\n", "a: \"\\u0041\"\n", "%YAML 1.1\n---\na: b\n", "--- a\n", "a: b\n...\n", "a: @b\n", "a: |\n   b\n  c\n",
	} {
		if out, ok := new(plain).json([]byte(doc)); ok {
			t.Errorf("%q became %s", doc, out)
		}
	}
}

// The YAML library is the twin: what is plain, both read alike.
func FuzzPlainJSON(f *testing.F) {
	for _, doc := range plainDocuments {
		f.Add([]byte(doc))
	}
	f.Add(manyManifests(1))
	f.Fuzz(func(t *testing.T, doc []byte) { comparePlain(t, doc) })
}

// comparePlain reports whether doc is plain, and fails where it is not read as
// the library does.
func comparePlain(t *testing.T, doc []byte) bool {
	got, ok := new(plain).json(doc)
	if !ok {
		return false
	}
	want, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		t.Fatalf("%q became %s, and the library: %v", doc, got, err)
	}
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%q became %s: %v", doc, got, err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Fatalf("%q: %s, and not %s:\n%s", doc, got, want, diff)
	}
	if scanned, ok := scanType(got, make(words)); ok {
		var h head
		if err := kjson.UnmarshalCaseSensitivePreserveInts(got, &h); err == nil && !cmp.Equal(h.TypeMeta, scanned) {
			t.Fatalf("%s is a %+v, and not %+v", got, h.TypeMeta, scanned)
		}
	}
	return true
}
