package daemon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// comment gives s what the source says of typ and its fields. docs keeps what
// was read, by package and by "Type" or "Type.Field".
func comment(t *testing.T, typ reflect.Type, s *jsonschema.Schema, docs map[string]map[string]string) {
	s.Description = docOf(t, typ.PkgPath(), docs)[typ.Name()]
	for _, f := range reflect.VisibleFields(typ) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := s.Properties[name]
		if p == nil || f.Anonymous {
			continue
		}
		owner := typ
		if len(f.Index) > 1 {
			owner = typ.FieldByIndex(f.Index[:len(f.Index)-1]).Type
		}
		if text := docOf(t, owner.PkgPath(), docs)[owner.Name()+"."+f.Name]; text != "" {
			p.Description = text
		}
	}
}

// docOf reads the comments of a package of ours.
func docOf(t *testing.T, path string, docs map[string]map[string]string) map[string]string {
	if docs[path] != nil {
		return docs[path]
	}
	dir := filepath.Join("../../..", strings.TrimPrefix(path, "github.com/portico-lb/portico"))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			g, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range g.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					typeDoc(out, g, s)
				}
			}
			return false
		})
	}
	docs[path] = out
	return out
}

func typeDoc(out map[string]string, g *ast.GenDecl, s *ast.TypeSpec) {
	doc := s.Doc
	if doc == nil {
		doc = g.Doc
	}
	out[s.Name.Name] = flat(doc)
	fields, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range fields.Fields.List {
		text := flat(f.Doc)
		if text == "" {
			text = flat(f.Comment)
		}
		for _, n := range f.Names {
			out[s.Name.Name+"."+n.Name] = text
		}
	}
}

func flat(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
