package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A shape is what a first walk over the file found: where each key stands,
// and which keys cannot be what the file says they are.
type shape struct {
	parser unstable.Parser
	// lines are the offsets at which lines begin. The parser, asked for a place,
	// counts them anew from the first: minutes for thousands of servers.
	lines []int
	root  reflect.Type
	// known are the keys of each type met so far.
	known map[reflect.Type]map[string]reflect.Type
	// elements counts the tables of each array of tables seen so far.
	elements map[string]int
	at       map[string]place
	faults   Faults
	// misfits counts the faults that a decoder would stop at. It passes over
	// unknown keys, so what stands beside one can still be checked.
	misfits int
	// broken is the extent of each top-level key-value that holds a misfit.
	broken []unstable.Range
}

type place struct{ line, column int }

// inspect walks data against the struct type root. A decoder stops at the
// first value that does not fit; this walk lists every unknown key and every
// wrong type, so that one run of `portico check` shows all there is to mend.
func inspect(data []byte, root reflect.Type) *shape {
	s := &shape{root: root, elements: map[string]int{}, at: map[string]place{}, known: map[reflect.Type]map[string]reflect.Type{}}
	s.parser.Reset(data)
	s.lines = append(s.lines, 0)
	for i, c := range data {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	table, typ := "", root
	for s.parser.NextExpression() {
		e := s.parser.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table, typ = s.header(e)
		case unstable.KeyValue:
			before := s.misfits
			s.keyValue(e, table, typ)
			if s.misfits > before {
				s.broken = append(s.broken, e.Raw)
			}
		}
	}
	if err := s.parser.Error(); err != nil {
		s.syntax(data, err)
	}
	return s
}

// syntax places the error of a file that is not TOML: the parser knows the
// bytes only, so the decoder is asked for line and column.
func (s *shape) syntax(data []byte, err error) {
	if s.decode(data, new(map[string]any)); len(s.faults) == 0 {
		s.faults = append(s.faults, Fault{Problem: err.Error()})
	}
}

// decode decodes data into v; its error becomes a fault.
func (s *shape) decode(data []byte, v any) {
	err := toml.Unmarshal(data, v)
	if err == nil {
		return
	}
	f := Fault{Problem: strings.TrimPrefix(err.Error(), "toml: ")}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		f.Line, f.Column = de.Position()
		f.Problem = strings.TrimPrefix(de.Error(), "toml: ")
	}
	s.faults = append(s.faults, f)
}

// header follows [a.b] or [[a.b]] from the root and returns the table's key
// and type; the type is nil where the table cannot be.
func (s *shape) header(e *unstable.Node) (string, reflect.Type) {
	key, typ := "", s.root
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if typ != nil {
			typ = s.child(n, key, typ)
		}
		key = join(key, string(n.Data))
		s.noteOnce(key, n)
		opens := e.Kind == unstable.ArrayTable && it.IsLast()
		if typ != nil {
			typ = s.table(n, key, typ, opens)
		}
		if opens {
			s.elements[key]++
		}
		if count := s.elements[key]; count > 0 {
			key = fmt.Sprintf("%s[%d]", key, count-1)
			s.noteOnce(key, n)
		}
	}
	return key, typ
}

// table returns the type of the table that a header names: typ itself, or its
// element where typ is a list.
func (s *shape) table(n *unstable.Node, key string, typ reflect.Type, opens bool) reflect.Type {
	typ = indirect(typ)
	list := typ.Kind() == reflect.Slice && indirect(typ.Elem()).Kind() == reflect.Struct
	switch {
	case list && (opens || s.elements[key] > 0):
		return typ.Elem()
	case list:
		s.fault(key, n, fmt.Sprintf("is a table, want a list of tables: write [[%s]]", key))
	case opens && wanted(typ) == "a table":
		s.fault(key, n, fmt.Sprintf("is a list of tables, want a table: write [%s]", key))
	case wanted(typ) != "a table":
		s.fault(key, n, "is a table, want "+wanted(typ))
	default:
		return typ
	}
	return nil
}

// keyValue checks one assignment inside the table of type typ.
func (s *shape) keyValue(e *unstable.Node, table string, typ reflect.Type) {
	if typ == nil {
		return // the unknown table has been reported once
	}
	key := table
	var last *unstable.Node
	for it := e.Key(); it.Next(); {
		last = it.Node()
		parent := key
		key = join(key, string(last.Data))
		s.note(key, last)
		if typ = s.child(last, parent, typ); typ == nil {
			return
		}
	}
	s.value(e.Value(), key, last, typ)
}

// value checks that v can be decoded into typ. Values that carry no place of
// their own are reported at the key.
func (s *shape) value(v *unstable.Node, key string, at *unstable.Node, typ reflect.Type) {
	if v.Raw.Length > 0 {
		at = v
	}
	s.noteOnce(key, at)
	typ = indirect(typ)
	if want := wanted(typ); want != "" && !fits(v.Kind, typ) {
		s.fault(key, at, fmt.Sprintf("is %s, want %s", describe(v.Kind), want))
		return
	}
	switch v.Kind {
	case unstable.Integer:
		if !holds(typ, string(v.Data)) {
			s.fault(key, at, fmt.Sprintf("%s is out of range: no key takes a number that large", v.Data))
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			s.keyValue(it.Node(), key, typ)
		}
	case unstable.Array:
		if typ.Kind() != reflect.Slice {
			return
		}
		i := 0
		for it := v.Children(); it.Next(); i++ {
			s.value(it.Node(), fmt.Sprintf("%s[%d]", key, i), at, typ.Elem())
		}
	}
}

// child returns the type of the key that n names inside typ, or nil after
// reporting that there is none.
func (s *shape) child(n *unstable.Node, parent string, typ reflect.Type) reflect.Type {
	typ = indirect(typ)
	name := string(n.Data)
	switch typ.Kind() {
	case reflect.Struct:
		known := s.known[typ]
		if known == nil {
			known = fields(typ)
			s.known[typ] = known
		}
		if t, ok := known[name]; ok {
			return t
		}
		names := make([]string, 0, len(known))
		for k := range known {
			names = append(names, k)
		}
		slices.Sort(names)
		s.report(join(parent, name), n, unknown(name, names))
		return nil
	case reflect.Map:
		return typ.Elem()
	default:
		s.fault(parent, n, "is a table, want "+wanted(typ))
		return nil
	}
}

// fault reports a misfit.
func (s *shape) fault(key string, at *unstable.Node, problem string) {
	s.misfits++
	s.report(key, at, problem)
}

func (s *shape) report(key string, at *unstable.Node, problem string) {
	p := s.placeOf(at)
	s.faults = append(s.faults, Fault{Line: p.line, Column: p.column, Key: key, Problem: problem})
}

func (s *shape) note(key string, n *unstable.Node) { s.at[key] = s.placeOf(n) }

func (s *shape) noteOnce(key string, n *unstable.Node) {
	if _, ok := s.at[key]; !ok {
		s.note(key, n)
	}
}

func (s *shape) placeOf(n *unstable.Node) place {
	offset := int(n.Raw.Offset)
	line, begins := slices.BinarySearch(s.lines, offset)
	if begins {
		return place{line + 1, 1}
	}
	return place{line, offset - s.lines[line-1] + 1}
}

// place returns where key stands, or its nearest ancestor when the key itself
// is not in the file.
func (s *shape) place(key string) place {
	for key != "" {
		if p, ok := s.at[key]; ok {
			return p
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return place{}
}

// faulty reports whether key, or a table or list that holds it or stands in
// it, has a fault already: what a parser says about it then is a consequence.
func (s *shape) faulty(key string) bool {
	return slices.ContainsFunc(s.faults, func(f Fault) bool {
		return f.Key == key || within(key, f.Key) || within(f.Key, key)
	})
}

func within(key, parent string) bool {
	rest, ok := strings.CutPrefix(key, parent)
	return ok && parent != "" && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// sound returns data with every faulty assignment blanked out, places kept.
func (s *shape) sound(data []byte) []byte {
	out := slices.Clone(data)
	for _, r := range s.broken {
		for i := r.Offset; i < r.Offset+r.Length; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
	}
	return out
}

func join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

func indirect(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// fields maps the toml names of a struct to their types.
func fields(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		if name != "" && name != "-" {
			out[name] = t.Field(i).Type
		}
	}
	return out
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// wanted names what typ is written as; "" accepts anything.
func wanted(typ reflect.Type) string {
	if typ.Implements(textUnmarshaler) || reflect.PointerTo(typ).Implements(textUnmarshaler) {
		return "a string"
	}
	switch typ.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a table"
	}
	return ""
}

func fits(k unstable.Kind, typ reflect.Type) bool {
	switch wanted(typ) {
	case "a string":
		return k == unstable.String
	case "true or false":
		return k == unstable.Bool
	case "an integer":
		return k == unstable.Integer
	case "a number":
		return k == unstable.Float || k == unstable.Integer
	case "a list":
		return k == unstable.Array
	case "a table":
		return k == unstable.InlineTable
	}
	return true
}

// holds reports whether an integer as TOML writes it fits typ.
func holds(typ reflect.Type, digits string) bool {
	if wanted(typ) != "an integer" {
		return true
	}
	bits := typ.Bits()
	if k := typ.Kind(); k >= reflect.Uint && k <= reflect.Uint64 {
		_, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), 0, bits)
		return err == nil
	}
	_, err := strconv.ParseInt(digits, 0, bits)
	return err == nil
}

func describe(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "a boolean"
	case unstable.Integer:
		return "an integer"
	case unstable.Float:
		return "a number"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or time"
}
