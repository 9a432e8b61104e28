package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
)

// decodedKinds returns an empty object of each kind that is read.
func decodedKinds() []metav1.Object {
	return []metav1.Object{
		&netv1.Ingress{}, &netv1.IngressClass{}, &corev1.Service{}, &discoveryv1.EndpointSlice{},
		&corev1.Secret{}, &endpointsObject{}, &oldIngress{},
	}
}

// oddValues are written where fields have values of another type, and of theirs.
var oddValues = []string{
	"null", "true", "false", "{}", "[]",
	"0", "1", "-1", "80", "2147483647", "2147483648", "-2147483648", "-2147483649", "65536", "12345678901234567",
	`""`, `"a"`, `"A"`, `"80"`, `"-1"`, `"1.5"`, `"1e3"`, `"10Mi"`, `"true"`, `"null"`, `"a\n\t\r\"\\b"`, `'a''b'`,
	`"2024-01-02T03:04:05Z"`, `"2024-01-02T03:04:05.678Z"`, `"2024-01-02T03:04:05+02:00"`, `"2024-02-30T00:00:00Z"`,
	`"YWJj"`, `"YWI="`, `"YWI"`, `"YWJ="`, `"YW\nJj"`, `"YWJj\n"`, `"_-8="`, `"*"`,
	"[ null ]", "[ 1 ]", "[ a ]", "[ a, null, b ]", "[ {} ]", "[ [] ]", "[ {}, null ]",
	"{ a: null }", "{ a: b }", "{ a: 1 }", "{ a: true }", "{ a: {} }", "{ a: [] }", "{ '': '' }", "{ a: b, A: c }",
}

// allValues returns a flow of YAML for each way to write a value of type t in
// which one part is odd.
func allValues(t reflect.Type) []string {
	all := slices.Clone(oddValues)
	nest := func(inner reflect.Type, formats ...string) {
		for _, v := range allValues(inner) {
			for _, f := range formats {
				all = append(all, strings.ReplaceAll(f, "V", v))
			}
		}
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return all
	}
	switch t.Kind() {
	case reflect.Pointer:
		return allValues(t.Elem())
	case reflect.Slice:
		nest(t.Elem(), "[ V ]", "[ V, null, V, {}, V ]")
	case reflect.Map:
		nest(t.Elem(), "{ k: V }", "{ k: V, l: null, m: V }")
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && len(f.Index) == 1 {
				nest(f.Type, "{ "+name+": V }")
				all = append(all, "{ "+strings.ToUpper(name)+": null }", "{ "+name+": null, "+f.Name+": null }")
			} else if f.Anonymous && len(f.Index) == 1 {
				nest(f.Type, "V")
			}
		}
	}
	return all
}

// TestDecodePlain writes each value of each field in each odd way.
func TestDecodePlain(t *testing.T) {
	for _, kind := range decodedKinds() {
		t.Run(fmt.Sprintf("%T", kind), func(t *testing.T) {
			t.Parallel()
			values := allValues(reflect.TypeOf(kind))
			accepted := 0
			for _, v := range values {
				if compareDecoded(t, kind, []byte(v+"\n")) {
					accepted++
				}
			}
			if accepted < len(values)/20 {
				t.Errorf("%d accepted of %d", accepted, len(values))
			}
		})
	}
}

// What is wrong is left to the library that words it.
func TestDecodePlainLeaves(t *testing.T) {
	for _, doc := range []string{
		"Metadata: {}\n", "metadata: { Name: a }\n", "x: null\n", "spec: { ports: [ { port: 80, x: 1 } ] }\n",
		"spec: { ports: [ { port: 2147483648 } ] }\n", "spec: { ports: [ { port: \"80\" } ] }\n", "spec: []\n", "metadata: { name: 1 }\n",
	} {
		data, ok := new(plain).json([]byte(doc))
		if !ok || decodePlain(data, &corev1.Service{}) {
			t.Errorf("%q is read", doc)
		}
	}
}

// The library of Kubernetes is the twin: what is decoded without it, both decode
// alike.
func FuzzDecodePlain(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for len(data) > 0 {
			var doc []byte
			doc, data = cutDocument(data)
			for kind, o := range decodedKinds() {
				if bytes.Contains(doc, []byte("kind: "+reflect.TypeOf(o).Elem().Name()+"\n")) {
					f.Add(kind, doc)
				}
			}
		}
	}
	for kind, o := range decodedKinds() {
		for i, v := range allValues(reflect.TypeOf(o)) {
			if i%200 == 0 {
				f.Add(kind, []byte(v+"\n"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind int, doc []byte) {
		if kinds := decodedKinds(); kind >= 0 && kind < len(kinds) {
			compareDecoded(t, kinds[kind], doc)
		}
	})
}

// compareDecoded reports whether doc is decoded without the library of
// Kubernetes, and fails where that makes another object of it, or has to say
// something.
func compareDecoded(t *testing.T, kind metav1.Object, doc []byte) bool {
	data, ok := new(plain).json(doc)
	if !ok {
		return false
	}
	got := reflect.New(reflect.TypeOf(kind).Elem()).Interface().(metav1.Object)
	if !decodePlain(data, got) {
		return false
	}
	want := reflect.New(reflect.TypeOf(kind).Elem()).Interface().(metav1.Object)
	strict, err := kjson.UnmarshalStrict(data, want)
	if err != nil || len(strict) > 0 {
		t.Fatalf("%T: %s is read, and the library: %v %v", kind, data, err, strict)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%T: %s:\n%s", kind, data, cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })))
	}
	return true
}
