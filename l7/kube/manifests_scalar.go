package kube

import (
	"bytes"
	"strings"
)

// maxKey bounds the length of a key; YAML's own bound is 1024 characters up to
// the colon.
const maxKey = 1000

// An extent is a part of what was written.
type extent struct{ from, to int }

// keys are those of a mapping as they stand in JSON. One that comes twice is
// for the library to tell.
type keys struct {
	first int             // of them in plain.keys
	many  map[string]bool // all of them, once they are too many to look through
}

func (p *plain) beginKeys() keys { return keys{first: len(p.keys)} }

// endKeys forgets the keys of the innermost mapping.
func (p *plain) endKeys(s keys) { p.keys = p.keys[:s.first] }

// add reports whether what out ends with from begin is a new key of the
// innermost mapping.
func (p *plain) add(s *keys, begin int) bool {
	const few = 16
	k := p.out[begin:]
	if s.many != nil {
		known := s.many[string(k)]
		s.many[string(k)] = true
		return !known
	}
	for _, have := range p.keys[s.first:] {
		if bytes.Equal(p.out[have.from:have.to], k) {
			return false
		}
	}
	p.keys = append(p.keys, extent{begin, len(p.out)})
	if own := p.keys[s.first:]; len(own) > few {
		s.many = make(map[string]bool, 2*few)
		for _, have := range own {
			s.many[string(p.out[have.from:have.to])] = true
		}
	}
	return true
}

// key reads a key and its colon, after which there is a blank or the line ends.
func (p *plain) key() bool {
	begin := p.at
	switch p.in[p.at] {
	case '"', '\'':
		if !p.quoted() {
			return false
		}
		p.blanks()
	case '{', '[', '|':
		return false
	default:
		if !p.name(p.bare()) {
			return false
		}
	}
	if p.at-begin > maxKey || p.in[p.at] != ':' || (p.in[p.at+1] != ' ' && p.in[p.at+1] != '\n') {
		return false
	}
	p.at++
	return true
}

// bare returns what comes up to the colon of a key, a comment or the end of the
// line, without the spaces before that.
func (p *plain) bare() []byte {
	begin := p.at
	for ; p.in[p.at] != '\n'; p.at++ {
		switch c, next := p.in[p.at], p.in[p.at+1]; {
		case c == ':' && (next == ' ' || next == '\n'):
			return bytes.TrimRight(p.in[begin:p.at], " ")
		case c == ' ' && next == '#':
			return bytes.TrimRight(p.in[begin:p.at], " ")
		}
	}
	return bytes.TrimRight(p.in[begin:p.at], " ")
}

// bareFlow is bare within a flow. The library ends a scalar there at a question
// mark too, and quarrels with some colons.
func (p *plain) bareFlow() []byte {
	begin := p.at
	for {
		switch p.in[p.at] {
		case ',', '[', ']', '{', '}', ':', '?', '#', '\n':
			return bytes.TrimRight(p.in[begin:p.at], " ")
		}
		p.at++
	}
}

// flow reads a mapping or a sequence in braces or brackets.
func (p *plain) flow() bool {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return false
	}
	open := p.in[p.at]
	closing := open + 2 // in ASCII
	p.out = append(p.out, open)
	p.at++
	keys := p.beginKeys()
	for first := true; ; first = false {
		p.blanks()
		if p.in[p.at] == closing {
			break
		}
		if !first {
			p.out = append(p.out, ',')
		}
		if open == '{' && !p.flowKey(&keys) {
			return false
		}
		if !p.flowValue() {
			return false
		}
		p.blanks()
		if p.in[p.at] == closing {
			break
		}
		if p.in[p.at] != ',' || (p.in[p.at+1] != ' ' && p.in[p.at+1] != '\n') {
			return false
		}
		p.at++
	}
	p.at++
	p.out = append(p.out, closing)
	p.endKeys(keys)
	return true
}

func (p *plain) flowKey(keys *keys) bool {
	begin, from := len(p.out), p.at
	switch p.in[p.at] {
	case '"', '\'':
		if !p.quoted() {
			return false
		}
	default:
		if !p.name(p.bareFlow()) {
			return false
		}
	}
	if p.at-from > maxKey || p.in[p.at] != ':' || p.in[p.at+1] != ' ' || !p.add(keys, begin) {
		return false
	}
	p.at++
	p.out = append(p.out, ':')
	p.blanks()
	return true
}

func (p *plain) flowValue() bool {
	switch p.in[p.at] {
	case '{', '[':
		return p.flow()
	case '"', '\'':
		return p.quoted()
	}
	return p.scalar(p.bareFlow())
}

// quoted reads a scalar in quotes that ends in this line.
func (p *plain) quoted() bool {
	quote := p.in[p.at]
	p.at++
	p.out = append(p.out, '"')
	for ; ; p.at++ {
		switch c := p.in[p.at]; {
		case c == '\n':
			return false
		case c == '\'' && quote == c && p.in[p.at+1] == c:
			p.at++
			p.out = append(p.out, c)
		case c == quote:
			p.at++
			p.out = append(p.out, '"')
			return true
		case c == '\\' && quote == '"':
			p.at++
			c = p.in[p.at]
			if strings.IndexByte(`"\nrt`, c) < 0 {
				return false
			}
			p.out = append(p.out, '\\', c)
		default:
			p.out = appendEscaped(p.out, p.in[p.at:p.at+1])
		}
	}
}

// name writes a bare scalar that is a key: a string, as others are written in
// several ways.
func (p *plain) name(s []byte) bool {
	if kindOf(s) != text {
		return false
	}
	p.string(s)
	return true
}

// scalar writes a bare scalar.
func (p *plain) scalar(s []byte) bool {
	switch kindOf(s) {
	case literal:
		p.out = append(p.out, s...)
	case text:
		p.string(s)
	default:
		return false
	}
	return true
}

func (p *plain) string(s []byte) {
	p.out = append(p.out, '"')
	p.out = appendEscaped(p.out, s)
	p.out = append(p.out, '"')
}

// appendEscaped appends printable s as it stands within the quotes of JSON.
func appendEscaped(dst, s []byte) []byte {
	for _, c := range s {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// A scalarKind is what a bare scalar means.
type scalarKind uint8

const (
	unsure  scalarKind = iota // to be asked of the library
	literal                   // true, false, null or a decimal number, the same in JSON
	text
)

// kindOf tells what a bare scalar of YAML 1.1 means, where that is plain.
func kindOf(s []byte) scalarKind {
	if len(s) == 0 {
		return unsure
	}
	switch c := s[0]; {
	case isDigit(c):
		return kindOfDigits(s)
	case c == '-' && len(s) > 1 && isDigit(s[1]) && s[1] != '0':
		if allDigits(s[1:]) && len(s) < 18 {
			return literal
		}
	case c == '/' || c == '_' || c == '(' || c == '^' || c == '$':
		return text
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return kindOfWord(s)
	}
	return unsure
}

// kindOfWord tells booleans, and null, from the other words.
func kindOfWord(s []byte) scalarKind {
	if len(s) > len("false") {
		return text
	}
	switch string(s) {
	case "true", "false", "null":
		return literal
	}
	switch strings.ToLower(string(s)) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return unsure
	}
	return text
}

// kindOfDigits tells a number from what only begins with a digit: an address,
// a UID, a duration.
func kindOfDigits(s []byte) scalarKind {
	switch {
	case allDigits(s):
		if len(s) < 18 && (s[0] != '0' || len(s) == 1) {
			return literal
		}
		return unsure // octal, or too large for some
	case bytes.Count(s, []byte(".")) > 1 || bytes.Count(s, []byte("-")) > 1:
		return text
	}
	for _, c := range s {
		if strings.IndexByte("0123456789abcdefABCDEFxXoO_.+-:", c) < 0 {
			return text
		}
	}
	return unsure
}

func allDigits(s []byte) bool {
	for _, c := range s {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
