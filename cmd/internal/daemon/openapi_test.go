package daemon

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/l4"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// TestOpenAPI holds the document to the routes and the types.
func TestOpenAPI(t *testing.T) {
	d := &daemon{log: slog.New(slog.DiscardHandler), l4: &l4.Reconciler{}, proxySocket: "/nowhere"}
	want, err := json.MarshalIndent(describe(t, d.api().Routes()), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(openAPI, want) {
		t.Error("openapi.json is not what the code says: go generate ./cmd/internal/daemon")
	}
}

// TestOpenAPIHoldsAnswers makes a value with all fields of each body, and has the
// document judge what becomes of it. No field may be missing there.
func TestOpenAPIHoldsAnswers(t *testing.T) {
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]*jsonschema.Schema }
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	d := &daemon{log: slog.New(slog.DiscardHandler), l4: &l4.Reconciler{}, proxySocket: "/nowhere"}
	for _, r := range d.api().Routes() {
		if doc.Paths[r.Path][strings.ToLower(r.Method)] == nil {
			t.Errorf("%s %s is not in openapi.json", r.Method, r.Path)
		}
		for _, typ := range []reflect.Type{r.Request, r.Answer} {
			if typ == nil {
				continue
			}
			schema := &jsonschema.Schema{Ref: "#/$defs/" + nameOf(element(typ))}
			if typ.Kind() == reflect.Slice {
				schema = &jsonschema.Schema{Type: "array", Items: schema}
			}
			schema.Defs = rebase(t, doc.Components.Schemas)
			resolved, err := schema.Resolve(nil)
			if err != nil {
				t.Fatalf("%s %s: %v", r.Method, r.Path, err)
			}
			v := reflect.New(typ).Elem()
			fill(v, 0)
			text, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			var instance any
			if err := json.Unmarshal(text, &instance); err != nil {
				t.Fatal(err)
			}
			if err := resolved.Validate(instance); err != nil {
				t.Errorf("%s %s: %v\n%.300s", r.Method, r.Path, err, text)
			}
		}
	}
}

// TestOpenAPIIsServed: whoever asks gets the document.
func TestOpenAPIIsServed(t *testing.T) {
	d := &daemon{log: slog.New(slog.DiscardHandler), proxySocket: "/nowhere"}
	w := httptest.NewRecorder()
	d.api().ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/openapi.json", nil))
	if w.Code != 200 || !json.Valid(w.Body.Bytes()) || w.Body.Len() < 1000 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}

// describe makes the document.
func describe(t *testing.T, routes []admin.Route) map[string]any {
	paths := map[string]map[string]any{}
	var types []reflect.Type
	for _, r := range routes {
		op := map[string]any{"summary": r.Summary, "responses": responses(r)}
		for _, q := range r.Query {
			op["parameters"] = []any{map[string]any{"name": q, "in": "query", "schema": map[string]any{"type": "string"}}}
		}
		if r.Request != nil {
			op["requestBody"] = map[string]any{"required": true, "content": jsonBody(r.Request)}
		}
		if r.Kind == admin.Orders {
			op["security"] = []any{map[string]any{"token": []string{}}}
		}
		if paths[r.Path] == nil {
			paths[r.Path] = map[string]any{}
		}
		paths[r.Path][strings.ToLower(r.Method)] = op
		types = collect(types, r.Request)
		types = collect(types, r.Answer)
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "portico", "version": "1",
			"description": "What a node's portico answers operators, on its unix socket and on admin.listen. Orders by TCP need the token of admin.token_file.",
		},
		"paths": paths,
		"components": map[string]any{
			"schemas":         schemas(t, types),
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
		},
	}
}

func responses(r admin.Route) map[string]any {
	text := map[string]any{"text/plain": map[string]any{"schema": map[string]any{"type": "string"}}}
	out := map[string]any{"default": map[string]any{"description": "Why not, in words.", "content": text}}
	switch {
	case r.Answer != nil:
		out["200"] = map[string]any{"description": r.Summary, "content": jsonBody(r.Answer)}
	case r.Kind == admin.Orders:
		out["204"] = map[string]any{"description": "It is done."}
	default:
		out["200"] = map[string]any{"description": r.Summary}
	}
	return out
}

func jsonBody(typ reflect.Type) map[string]any {
	schema := map[string]any{"$ref": "#/components/schemas/" + nameOf(element(typ))}
	if typ.Kind() == reflect.Slice {
		schema = map[string]any{"type": "array", "items": schema}
	}
	return map[string]any{"application/json": map[string]any{"schema": schema}}
}

func element(typ reflect.Type) reflect.Type {
	if typ.Kind() == reflect.Slice {
		return typ.Elem()
	}
	return typ
}

// nameOf is the package's last word, and the type's name.
func nameOf(typ reflect.Type) string {
	return typ.PkgPath()[strings.LastIndexByte(typ.PkgPath(), '/')+1:] + "." + typ.Name()
}

// collect adds the structs of ours that typ is made of.
func collect(types []reflect.Type, typ reflect.Type) []reflect.Type {
	if typ == nil || slices.Contains(types, typ) {
		return types
	}
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return collect(types, typ.Elem())
	case reflect.Struct:
		if asText(typ) || asJSON(typ) || !strings.HasPrefix(typ.PkgPath(), "github.com/portico-lb/") {
			return types
		}
		types = append(types, typ)
		for _, f := range reflect.VisibleFields(typ) {
			if f.IsExported() && !f.Anonymous {
				types = collect(types, f.Type)
			}
		}
	}
	return types
}

func implements[I any](typ reflect.Type) bool {
	return typ.Implements(reflect.TypeFor[I]()) || reflect.PointerTo(typ).Implements(reflect.TypeFor[I]())
}

func asText(typ reflect.Type) bool { return implements[encoding.TextMarshaler](typ) }
func asJSON(typ reflect.Type) bool { return implements[json.Marshaler](typ) }

// schemas makes a schema of each type, in which the others are named.
func schemas(t *testing.T, types []reflect.Type) map[string]*jsonschema.Schema {
	out := map[string]*jsonschema.Schema{}
	docs := map[string]map[string]string{}
	for _, typ := range types {
		known := map[reflect.Type]*jsonschema.Schema{
			reflect.TypeFor[[]byte]():    {Type: "string", ContentEncoding: "base64"},
			reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"},
		}
		words(typ, known, nil)
		for _, other := range types {
			if other != typ && !embedded(typ, other) {
				known[other] = &jsonschema.Schema{Ref: "#/components/schemas/" + nameOf(other)}
			}
		}
		s, err := jsonschema.ForType(typ, &jsonschema.ForOptions{TypeSchemas: known})
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		name := nameOf(typ)
		if out[name] != nil {
			t.Fatalf("two types are called %s", name)
		}
		comment(t, typ, s, docs)
		out[name] = tidy(s)
	}
	return out
}

// words notes the types that are written as text, or in a form of their own.
func words(typ reflect.Type, known map[reflect.Type]*jsonschema.Schema, seen []reflect.Type) {
	if slices.Contains(seen, typ) || known[typ] != nil {
		return
	}
	seen = append(seen, typ)
	switch {
	case typ == reflect.TypeFor[time.Duration]():
		known[typ] = &jsonschema.Schema{Type: "integer", Description: "nanoseconds"}
	case typ.Kind() == reflect.Pointer, typ.Kind() == reflect.Map:
		if typ.Kind() == reflect.Map {
			words(typ.Key(), known, seen)
		}
		words(typ.Elem(), known, seen)
	case typ.Name() != "" && asJSON(typ):
		known[typ] = &jsonschema.Schema{}
	case typ.Name() != "" && asText(typ):
		known[typ] = &jsonschema.Schema{Type: "string"}
	case typ.Kind() == reflect.Slice, typ.Kind() == reflect.Array:
		words(typ.Elem(), known, seen)
	case typ.Kind() == reflect.Struct:
		for _, f := range reflect.VisibleFields(typ) {
			if f.IsExported() {
				words(f.Type, known, seen)
			}
		}
	}
}

func embedded(in, typ reflect.Type) bool {
	return slices.ContainsFunc(reflect.VisibleFields(in), func(f reflect.StructField) bool { return f.Anonymous && f.Type == typ })
}

// tidy takes out that a pointer may be null: what is nil is left out.
func tidy(s *jsonschema.Schema) *jsonschema.Schema {
	if s == nil {
		return nil
	}
	if s.Ref != "" {
		s.Types = nil
	}
	for _, p := range s.Properties {
		tidy(p)
	}
	tidy(s.Items)
	tidy(s.AdditionalProperties)
	return s
}

// rebase has the references of schemas lead to $defs.
func rebase(t *testing.T, in map[string]*jsonschema.Schema) map[string]*jsonschema.Schema {
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]*jsonschema.Schema
	if err := json.Unmarshal(bytes.ReplaceAll(text, []byte("#/components/schemas/"), []byte("#/$defs/")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// fill gives v, and what is below it, values that are not zero.
func fill(v reflect.Value, depth int) {
	if depth > 12 {
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
		return
	case v.Kind() == reflect.Struct && asText(v.Type()), v.Type().Name() != "" && asJSON(v.Type()), v.Kind() == reflect.Interface:
		return // they have a form of their own
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64, reflect.Float32:
		v.SetFloat(1.5)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	}
}
