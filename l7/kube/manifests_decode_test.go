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
		&corev1.Secret{}, &endpointsObject{},
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

// TestUnmarshalPlain writes each value of each field in each odd way.
func TestUnmarshalPlain(t *testing.T) {
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
func TestUnmarshalPlainLeaves(t *testing.T) {
	for _, doc := range []string{
		"Metadata: {}\n", "metadata: { Name: a }\n", "x: null\n", "spec: { ports: [ { port: 80, x: 1 } ] }\n",
		"spec: { ports: [ { port: 2147483648 } ] }\n", "spec: { ports: [ { port: \"80\" } ] }\n", "spec: []\n", "metadata: { name: 1 }\n",
	} {
		data, ok := new(plain).json([]byte(doc))
		if !ok || unmarshalPlain(data, &corev1.Service{}) {
			t.Errorf("%q is read", doc)
		}
	}
}

// The library of Kubernetes is the twin: what is decoded without it, both decode
// alike.
func FuzzUnmarshalPlain(f *testing.F) {
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
		compareObjects(t, doc)
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
	if !unmarshalPlain(data, got) {
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

// compareObjects fails where it is to be seen that doc is decoded without the
// library of Kubernetes.
func compareObjects(t *testing.T, doc []byte) {
	data, ok := new(plain).json(doc)
	if !ok {
		return
	}
	at := place{file: "x.yaml", document: 1, line: 1}
	got, want := parsed{words: make(words)}, parsed{}
	got.object(at, data, metav1.TypeMeta{}, true)
	want.object(at, data, metav1.TypeMeta{}, false)
	if !reflect.DeepEqual(got.manifests, want.manifests) || !reflect.DeepEqual(got.faults, want.faults) {
		t.Fatalf("%s:\n%+v\n%+v\nand not\n%+v\n%+v", data, got.manifests, got.faults, want.manifests, want.faults)
	}
}

// TestDecodePlain: what an object is, and is called, is written well or in an odd
// way.
func TestDecodePlain(t *testing.T) {
	versions := []string{"v1", "v2", "apps/v1", "networking.k8s.io/v1", "networking.k8s.io/v1beta1", "extensions/v1beta1", "discovery.k8s.io/v1"}
	kinds := []string{"Ingress", "IngressClass", "Service", "EndpointSlice", "Endpoints", "Secret", "Deployment", "List", "IngressList"}
	names := []string{"{ name: a }", "{ name: a, namespace: b }", "{ name: a, namespace: null, managedFields: [ {} ] }", "{ namespace: b }", "{ name: a, x: 1 }"}
	for i, values := range [][]string{versions, kinds, names} {
		values = append(values, oddValues...)
		for _, v := range values {
			for _, version := range versions {
				for _, kind := range kinds {
					if i == 0 && version != "v1" || i == 1 && kind != "List" || i == 2 && version != "v1" && kind != "Ingress" {
						continue // the same once more, or nearly
					}
					parts := []string{"apiVersion: " + version, "kind: " + kind, "metadata: { name: a }"}
					parts[i], _, _ = strings.Cut(parts[i], ":")
					parts[i] += ": " + v
					for _, more := range []string{"items: null", "items: 7", "items: [ { kind: Service, apiVersion: v1, metadata: { name: c } }, null, 7, { metadata: { name: d } } ]",
						"spec: {}", "spec: 1", "x: 1", "stringData: { a: b }", "subsets: []"} {
						compareObjects(t, []byte(strings.Join(append(parts, more), "\n")+"\n"))
						compareObjects(t, []byte("{ "+more+", "+parts[2]+", "+parts[1]+", "+parts[0]+" }\n"))
					}
				}
			}
		}
	}
	p := parseFile("x.yaml", []byte("kind: Service\napiVersion: v1\nmetadata: { name: a }\nspec: {}\n"))
	if len(p.manifests) != 1 || p.manifests[0].key() != (key{"Service", "default", "a"}) {
		t.Errorf("%+v", p)
	}
}
