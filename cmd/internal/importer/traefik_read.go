package importer

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// An option is one key of Traefik's file, or a table without keys. Traefik
// reads keys whatever their case.
type option struct {
	// path is in small letters, names as they are written.
	path, names []string
	// value is a string, bool, int64, float64, []any, or nil for a table.
	value any
	at    Origin
}

func (o option) key() string { return strings.Join(o.path, ".") }

// readOptions reads a file in its order.
func readOptions(file string, data []byte) ([]option, error) {
	var whole map[string]any
	if err := toml.Unmarshal(data, &whole); err != nil {
		var de *toml.DecodeError
		if errors.As(err, &de) {
			line, column := de.Position()
			return nil, fmt.Errorf("%s:%d:%d: %w", file, line, column, err)
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r := optionReader{file: file, data: data, elements: map[string]int{}}
	var p unstable.Parser
	p.Reset(data)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = r.header(e)
		case unstable.KeyValue:
			r.keyValue(e, table)
		}
	}
	if err := p.Error(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r.options, nil
}

type optionReader struct {
	file    string
	data    []byte
	options []option
	// elements counts the tables of each array of them.
	elements map[string]int
	line     int
}

func (r *optionReader) header(e *unstable.Node) []string {
	var path []string
	for it := e.Key(); it.Next(); {
		n := it.Node()
		path = append(path, string(n.Data))
		r.place(n)
		id := strings.ToLower(strings.Join(path, "\x00"))
		if e.Kind == unstable.ArrayTable && it.IsLast() {
			r.elements[id]++
		}
		if count := r.elements[id]; count > 0 {
			path = append(path, strconv.Itoa(count-1))
		}
	}
	r.add(path, nil)
	return path
}

// place notes the line that a node stands on.
func (r *optionReader) place(n *unstable.Node) {
	if n.Raw.Length > 0 {
		r.line = 1 + bytes.Count(r.data[:n.Raw.Offset], []byte{'\n'})
	}
}

func (r *optionReader) keyValue(e *unstable.Node, table []string) {
	path := append([]string(nil), table...)
	for it := e.Key(); it.Next(); {
		path = append(path, string(it.Node().Data))
		r.place(it.Node())
	}
	r.value(path, e.Value())
}

func (r *optionReader) value(path []string, v *unstable.Node) {
	switch v.Kind {
	case unstable.InlineTable:
		r.add(path, nil)
		for it := v.Children(); it.Next(); {
			r.keyValue(it.Node(), path)
		}
	case unstable.Array:
		var list []any
		tables := 0
		for it := v.Children(); it.Next(); {
			if n := it.Node(); n.Kind == unstable.InlineTable || n.Kind == unstable.Array {
				r.value(append(append([]string(nil), path...), strconv.Itoa(tables)), n)
				tables++
			} else {
				list = append(list, scalar(n))
			}
		}
		if tables == 0 {
			r.add(path, list)
		}
	default:
		r.add(path, scalar(v))
	}
}

func scalar(n *unstable.Node) any {
	text := string(n.Data)
	switch n.Kind {
	case unstable.Bool:
		return text == "true"
	case unstable.Integer:
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			return i
		}
	case unstable.Float:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	}
	return text
}

func (r *optionReader) add(names []string, value any) {
	names = append([]string(nil), names...)
	path := make([]string, len(names))
	for i, n := range names {
		path[i] = strings.ToLower(n)
	}
	r.options = append(r.options, option{path, names, value, Origin{r.file, r.line}})
}

// text is a value as a string: what Traefik takes as one may be written as a
// number, a duration among others.
func (o option) text() string {
	if l := o.list(); len(l) > 0 {
		return l[0]
	}
	return ""
}

// list is a value as strings; a string is split at commas.
func (o option) list() []string {
	switch v := o.value.(type) {
	case nil:
		return nil
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			out[i] = fmt.Sprint(e)
		}
		return out
	case string:
		var out []string
		for p := range strings.SplitSeq(v, ",") {
			if p = strings.TrimSpace(p); p != "" {
				out = append(out, p)
			}
		}
		return out
	}
	return []string{fmt.Sprint(o.value)}
}

// whole is a value that is one string, commas and all.
func (o option) whole() string {
	if s, isString := o.value.(string); isString {
		return s
	}
	return o.text()
}

func (o option) truth() bool {
	b, err := strconv.ParseBool(o.text())
	return err == nil && b
}

// duration is a time as Traefik takes it, seconds where there is no unit.
func (o option) duration() (string, bool) {
	s := o.text()
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < 1e8 {
		return duration(n), true
	}
	return s, s != ""
}
