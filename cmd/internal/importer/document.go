package importer

import (
	"fmt"
	"slices"
	"strings"
)

// An Origin is a line of a source.
type Origin struct {
	File string
	Line int
}

func (o Origin) String() string {
	if o.Line == 0 {
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// A Kind says what a note is about.
type Kind string

// The kinds.
const (
	Lost    Kind = "no counterpart" // portico has nothing of the kind
	Wrong   Kind = "wrong"          // it did not do in the source what it seems to
	Changed Kind = "different"      // it does something else here
	Todo    Kind = "to do"          // a person must act
)

// A Note is something to know about the import.
type Note struct {
	At   Origin
	Kind Kind
	Text string
}

func (n Note) String() string { return fmt.Sprintf("%s: %s: %s", n.At, n.Kind, n.Text) }

// A document is a file of TOML as it is written: tables in order.
type document struct {
	tables []*table
	// notes are all that were made; those made before the first table head
	// the file.
	notes []Note
	head  []Note
	made  map[Note]bool // of notes
}

// A table is a header with its keys.
type table struct {
	header string
	at     Origin
	notes  []Note
	keys   []key
	// off has the whole written as comments, with the reason.
	off string
}

// A key is one line.
type key struct {
	name, value string
	at          Origin
	// items are what the value consists of where each may be left out alone.
	items []item
	// off has the line written as a comment, with the reason.
	off string
}

// An item is an inline table of a list.
type item struct {
	value string
	at    Origin
}

// table begins one: "[l4]" or "[[l4.service]]".
func (d *document) table(header string, at Origin) *table {
	t := &table{header: header, at: at}
	d.tables = append(d.tables, t)
	return t
}

// once returns the table with a header, which is begun if there is none.
func (d *document) once(header string, at Origin) *table {
	for _, t := range d.tables {
		if t.header == header {
			return t
		}
	}
	return d.table(header, at)
}

// note tells of something, above the table that it concerns; nil is the whole.
func (d *document) note(t *table, kind Kind, at Origin, format string, args ...any) {
	n := Note{at, kind, oneLine(fmt.Sprintf(format, args...))}
	if d.made[n] && (t == nil || slices.Contains(t.notes, n)) {
		return // a line that is used more than once
	}
	if !d.made[n] {
		d.made[n] = true
		d.notes = append(d.notes, n)
	}
	if t == nil {
		d.head = append(d.head, n)
		return
	}
	t.notes = append(t.notes, n)
}

// set adds a key; of one that is there, the value changes.
func (t *table) set(at Origin, name string, value any) {
	k := key{name: name, value: toTOML(value), at: at}
	k.items, _ = value.([]item)
	for i := range t.keys {
		if t.keys[i].name == name {
			t.keys[i] = k
			return
		}
	}
	t.keys = append(t.keys, k)
}

func (t *table) has(name string) bool {
	for _, k := range t.keys {
		if k.name == name {
			return true
		}
	}
	return false
}

// raw is a value that is TOML already.
type raw string

// toTOML writes a value.
func toTOML(v any) string {
	switch v := v.(type) {
	case raw:
		return string(v)
	case string:
		return quote(v)
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = quote(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []item:
		parts := make([]string, len(v))
		for i, one := range v {
			parts[i] = one.value
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v) // numbers and booleans
}

// quote writes a basic string (TOML v1.0.0, section "String").
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r) // what is no UTF-8 became U+FFFD
		}
	}
	b.WriteByte('"')
	return b.String()
}

// oneLine makes a text fit into a comment: TOML allows no control character
// there but the tab.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// A place says what stands on a line of the text.
type place struct {
	table *table
	key   int // -1 is the header
}

// text writes the file; places has an entry for each of its lines that a
// checker may complain of, counted from 1.
func (d *document) text(title []string) (text string, places map[int]place) {
	places = map[int]place{}
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, t := range title {
		add("# %s", oneLine(t))
	}
	for _, n := range d.head {
		add("# %s", n)
	}
	for _, t := range d.tables {
		if t.header == "[l7]" && len(t.keys)+len(t.notes) == 0 {
			continue
		}
		add("")
		for _, n := range t.notes {
			add("# %s", n)
		}
		mark := ""
		if t.off != "" {
			add("# left out: %s", oneLine(t.off))
			mark = "#"
		}
		add("%s%s%s", mark, t.header, comment(t.at))
		places[len(lines)] = place{t, -1}
		width := 0
		for _, k := range t.keys {
			width = max(width, len(k.name))
		}
		for i, k := range t.keys {
			if k.off != "" {
				add("#%-*s = %s%s", width, k.name, k.value, comment(k.at))
				add("# ^ %s", oneLine(k.off))
				continue
			}
			add("%s%-*s = %s%s", mark, width, k.name, k.value, comment(k.at))
			places[len(lines)] = place{t, i}
		}
	}
	return strings.Join(lines, "\n") + "\n", places
}

func comment(at Origin) string {
	if at.File == "" {
		return ""
	}
	return "   # " + oneLine(at.String())
}
