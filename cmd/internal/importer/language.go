package importer

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Sources are where files are read from.
type Sources struct {
	// Read returns a file's bytes, Glob the files of a pattern.
	Read func(path string) ([]byte, error)
	Glob func(pattern string) ([]string, error)
	// ID is what keepalived was started with as its --config-id: lines that
	// begin with "@ID" are those of the node with it.
	ID string
}

// A line is one of keepalived's configuration after definitions, conditions
// and includes (keepalived.conf(5), "PARAMETER SUBSTITUTION" and following).
type line struct {
	text string
	at   Origin
}

// Bounds of what a configuration may grow to by definitions and includes.
const (
	maxDepth = 24
	maxLines = 200_000
	maxBytes = 8 << 20
	maxLine  = 64 << 10
)

// A reader expands files into lines.
type reader struct {
	Sources
	doc         *document
	definitions map[string]string
	lines       []line
	bytes       int
	full        bool
}

func (r *reader) file(path string, depth int, from Origin) {
	data, err := r.Read(path)
	if err != nil {
		r.doc.note(nil, Wrong, from, "%v", err)
		return
	}
	text := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	for i := 0; i < len(text) && !r.full; i++ {
		at := Origin{path, i + 1}
		l := text[i]
		if rest, ours := r.condition(strings.TrimSpace(l) + " "); ours && definition.MatchString(rest) {
			l = rest // a condition may stand before it, too
		}
		if m := definition.FindStringSubmatch(l); m != nil {
			value := m[2]
			for strings.HasSuffix(strings.TrimRight(value, " \t"), `\`) && i+1 < len(text) {
				i++
				value = strings.TrimSuffix(strings.TrimRight(value, " \t"), `\`) + "\n" + text[i]
			}
			r.definitions[m[1]] = strings.TrimSpace(stripEach(value)) // what it refers to is looked up where it is used
			continue
		}
		for strings.HasSuffix(l, `\`) && i+1 < len(text) {
			i++
			l = strings.TrimSuffix(l, `\`) + " " + strings.TrimSpace(text[i])
		}
		r.expand(l, at, depth)
	}
}

// definition is $NAME=VALUE; what ends in a backslash goes on in the next line.
var definition = regexp.MustCompile(`^\s*\$([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$`)

func stripEach(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = stripComment(lines[i])
	}
	return strings.Join(lines, "\n")
}

// stripComment cuts from the first ! or # that is not quoted.
func stripComment(l string) string {
	var in byte
	for i := 0; i < len(l); i++ {
		switch c := l[i]; {
		case c == '\\' && in != '\'':
			i++
		case in != 0:
			if c == in {
				in = 0
			}
		case c == '"' || c == '\'':
			in = c
		case c == '!' || c == '#':
			return l[:i]
		}
	}
	return l
}

var include = regexp.MustCompile(`^include[a-z]*\s+(.+)$`)

// expand adds what one line stands for.
func (r *reader) expand(l string, at Origin, depth int) {
	l = strings.TrimSpace(stripComment(l))
	if l == "" || r.full {
		return
	}
	if r.bytes += len(l) + 1; len(r.lines) >= maxLines || r.bytes > maxBytes || depth > maxDepth {
		r.endless(at)
		return
	}
	l, ours := r.condition(l)
	if !ours {
		return
	}
	if strings.HasPrefix(l, "~SEQ(") || strings.HasPrefix(l, "~LST(") {
		r.each(l, at, depth)
		return
	}
	whole := l
	for range maxDepth { // values refer to others
		before := whole
		if whole = r.substitute(whole, at); whole == before || strings.Contains(whole, "\n") || len(whole) > maxLine {
			break
		}
	}
	if len(whole) > maxLine {
		r.endless(at)
		return
	}
	if strings.Contains(whole, "\n") {
		for one := range strings.SplitSeq(whole, "\n") {
			if !r.full {
				r.expand(one, at, depth+1)
			}
		}
		return
	}
	if m := include.FindStringSubmatch(whole); m != nil {
		r.include(strings.Trim(m[1], `"'`), at, depth)
		return
	}
	r.lines = append(r.lines, line{whole, at})
}

// endless gives up what comes to no end.
func (r *reader) endless(at Origin) {
	if !r.full {
		r.doc.note(nil, Wrong, at, "definitions or includes that never end: the rest is left out")
	}
	r.full = true
}

// condition reads "@ID " and "@^ID ", which is for all but ID.
func (r *reader) condition(l string) (rest string, ours bool) {
	if !strings.HasPrefix(l, "@") {
		return l, true
	}
	id, rest, _ := strings.Cut(l[1:], " ")
	if other, negated := strings.CutPrefix(id, "^"); negated {
		return strings.TrimSpace(rest), other != r.ID && strings.TrimSpace(rest) != ""
	}
	return strings.TrimSpace(rest), id == r.ID && strings.TrimSpace(rest) != ""
}

func (r *reader) include(pattern string, at Origin, depth int) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(at.File), pattern)
	}
	files, err := r.Glob(pattern)
	if err != nil || len(files) == 0 {
		r.doc.note(nil, Wrong, at, "include %s: there is no such file", pattern)
		return
	}
	for _, f := range files {
		r.file(f, depth+1, at)
	}
}

var reference = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)((?:\s+[^}]*)?)\}|\$([A-Za-z_][A-Za-z0-9_]*)`)

// substitute puts the values of definitions into a line. What is none stays:
// a regular expression may have a dollar sign.
func (r *reader) substitute(l string, at Origin) string {
	return reference.ReplaceAllStringFunc(l, func(ref string) string {
		m := reference.FindStringSubmatch(ref)
		name := m[1] + m[3]
		switch name {
		case "_PWD":
			return filepath.Dir(at.File)
		case "_HASH":
			return "#"
		case "_BANG":
			return "!"
		case "_INSTANCE":
			return ""
		case "_ENV", "_RANDOM":
			r.doc.note(nil, Todo, at, "%s depends on the machine: put the value in", ref)
			return ""
		}
		value, known := r.definitions[name]
		if !known {
			if m[1] != "" {
				r.doc.note(nil, Wrong, at, "%s is not defined", ref)
			}
			return ref
		}
		if r.bytes += len(value); r.bytes > maxBytes {
			r.endless(at)
			return ""
		}
		return value
	})
}

// each repeats the rest of a line for ~SEQ(VAR, FIRST, STEP, LAST) and
// ~LST(VAR, VALUE, ...), with VAR defined.
func (r *reader) each(l string, at Origin, depth int) {
	args, rest, closed := strings.Cut(l[len("~SEQ("):], ")")
	words := strings.Split(args, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	values := words[1:]
	if l[1] == 'S' {
		values = sequence(values)
	}
	if !closed || slices.Contains(values, "") || len(values) == 0 {
		r.doc.note(nil, Wrong, at, "%s: wanted are a name and values", l)
		return
	}
	before, had := r.definitions[words[0]]
	for _, v := range values {
		if r.full {
			break
		}
		r.definitions[words[0]] = v
		r.expand(rest, at, depth+1)
	}
	if delete(r.definitions, words[0]); had {
		r.definitions[words[0]] = before
	}
}

// maxSequence bounds a ~SEQ: more than this no group of addresses has.
const maxSequence = 4096

// sequence counts from the first to the last by the step, which may be left
// out.
func sequence(words []string) []string {
	var n []int
	for _, w := range words {
		v, err := strconv.Atoi(w)
		if err != nil {
			return nil
		}
		n = append(n, v)
	}
	var first, last int
	step := 1
	switch len(n) {
	case 2:
		first, last = n[0], n[1]
	case 3:
		first, step, last = n[0], n[1], n[2]
	default:
		return nil
	}
	if len(n) == 2 && last < first {
		step = -1
	}
	if step == 0 || (last-first)/step < 0 || (last-first)/step > maxSequence {
		return nil
	}
	var out []string
	for v := first; step > 0 && v <= last || step < 0 && v >= last; v += step {
		out = append(out, fmt.Sprint(v))
	}
	return out
}
