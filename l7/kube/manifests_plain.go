package kube

import "bytes"

// maxDepth bounds how deep plain YAML is nested. No object that is read here
// comes near it.
const maxDepth = 64

// plain turns the YAML of a document into JSON where it is written the way that
// kubectl and most people write manifests: in block mappings and sequences, flow
// ones on one line, scalars on one line or as a literal block, in printable
// ASCII. All else, what is wrong included, the YAML library has to look at.
//
// A folder may hold tens of thousands of documents, and a node that starts
// serves nothing before the last; this takes a twentieth of the library's time.
//
// The methods return false at what is not plain; at is then of no importance.
type plain struct {
	in, out []byte
	// at is where reading goes on, line where its line begins.
	at, line int
	depth    int
	// keys are where in out the keys of the mappings stand that are being read,
	// the innermost mapping's last.
	keys []extent
}

// json returns the JSON of doc, which is good until the next call, or false where
// doc is not plain.
func (p *plain) json(doc []byte) ([]byte, bool) {
	if len(doc) == 0 || doc[len(doc)-1] != '\n' || !printable(doc) {
		return nil, false
	}
	*p = plain{in: doc, out: p.out[:0], keys: p.keys[:0]}
	if bytes.HasPrefix(doc, []byte("---")) {
		p.at = len("---")
		if !p.lineEnds() {
			return nil, false
		}
	}
	column := p.nextLine()
	if column < 0 {
		return []byte("null"), true
	}
	if !p.node(-1) || p.nextLine() >= 0 {
		return nil, false
	}
	return p.out, true
}

// printable reports whether doc is lines of printable ASCII.
func printable(doc []byte) bool {
	for _, c := range doc {
		if (c < ' ' && c != '\n') || c > '~' {
			return false
		}
	}
	return true
}

// rest is what has not been read.
func (p *plain) rest() []byte { return p.in[p.at:] }

// column is that of at in its line, from 0.
func (p *plain) column() int { return p.at - p.line }

// blanks steps over spaces.
func (p *plain) blanks() {
	for p.in[p.at] == ' ' { // the document ends with a line feed
		p.at++
	}
}

// lineEnds reports whether nothing but a comment is left of the line, and steps
// over it.
func (p *plain) lineEnds() bool {
	spaced := p.at == p.line || p.in[p.at] == ' ' || p.in[p.at-1] == ' '
	p.blanks()
	if c := p.in[p.at]; c != '\n' && (c != '#' || !spaced) {
		return false
	}
	p.at += bytes.IndexByte(p.rest(), '\n')
	return true
}

// nextLine steps over the end of this line, blank lines and comments, and
// returns the column of what comes then, -1 at the end.
func (p *plain) nextLine() int {
	for p.at < len(p.in) {
		if p.in[p.at] == '\n' {
			p.at++
			p.line = p.at
			continue
		}
		p.blanks()
		switch p.in[p.at] {
		case '\n':
		case '#':
			p.at += bytes.IndexByte(p.rest(), '\n')
		default:
			return p.column()
		}
	}
	return -1
}

// peek returns the column of what comes in the next line that is not empty,
// and whether it is an item of a sequence; it steps over nothing but that.
func (p *plain) peek() (column int, item bool) {
	column = p.nextLine()
	return column, column >= 0 && p.isItem()
}

// isItem reports whether the dash of a sequence's item comes.
func (p *plain) isItem() bool {
	return p.in[p.at] == '-' && (p.in[p.at+1] == ' ' || p.in[p.at+1] == '\n')
}

// node reads what begins here, which belongs to what stands in column parent.
func (p *plain) node(parent int) bool {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return false
	}
	column := p.column()
	if p.isItem() {
		return p.sequence(column)
	}
	at, begin := p.at, len(p.out)
	p.out = append(p.out, '{')
	if p.key() {
		return p.mapping(column, begin+1)
	}
	p.at, p.out = at, p.out[:begin]
	return p.value(parent)
}

// mapping reads the pairs whose keys stand in column, from behind the first key,
// which begins at key in out.
func (p *plain) mapping(column, key int) bool {
	keys := p.beginKeys()
	for {
		if !p.add(&keys, key) {
			return false
		}
		p.out = append(p.out, ':')
		if !p.pairValue(column) {
			return false
		}
		switch next, item := p.peek(); {
		case next < column:
			p.out = append(p.out, '}')
			p.endKeys(keys)
			return true
		case next > column || item:
			return false
		}
		p.out = append(p.out, ',')
		if key = len(p.out); !p.key() {
			return false
		}
	}
}

// pairValue reads the value of a key that stands in column: in its line, or
// below it.
func (p *plain) pairValue(column int) bool {
	if !p.lineEnds() {
		return p.value(column)
	}
	switch next, item := p.peek(); {
	case next > column:
		return p.node(column)
	case next == column && item:
		return p.sequence(column)
	}
	p.out = append(p.out, "null"...)
	return true
}

// sequence reads the items whose dashes stand in column.
func (p *plain) sequence(column int) bool {
	p.out = append(p.out, '[')
	for {
		p.at++ // the dash
		if !p.item(column) {
			return false
		}
		switch next, item := p.peek(); {
		case next > column:
			return false
		case next < column || !item: // without a dash a key goes on, of which this is the value
			p.out = append(p.out, ']')
			return true
		}
		p.out = append(p.out, ',')
	}
}

// item reads what follows a dash in column.
func (p *plain) item(column int) bool {
	if !p.lineEnds() {
		return p.node(column)
	}
	if next, _ := p.peek(); next > column {
		return p.node(column)
	}
	p.out = append(p.out, "null"...)
	return true
}

// value reads a scalar or a flow up to the end of its line.
func (p *plain) value(parent int) bool {
	switch p.in[p.at] {
	case '|':
		return p.literal(parent)
	case '{', '[':
		if !p.flow() {
			return false
		}
	case '"', '\'':
		if !p.quoted() {
			return false
		}
	default:
		if !p.scalar(p.bare()) {
			return false
		}
	}
	if !p.lineEnds() {
		return false
	}
	// What stands deeper would go on with the scalar.
	next, _ := p.peek()
	return next <= parent
}

// literal reads a literal block, of which each line is kept as it is.
func (p *plain) literal(parent int) bool {
	p.at++
	strip := p.in[p.at] == '-'
	if strip {
		p.at++
	}
	if p.in[p.at] != '\n' {
		return false
	}
	p.at++
	indent := p.indent()
	if parent < 0 || indent <= parent || p.at+indent == len(p.in) || p.in[p.at+indent] == '\n' {
		return false
	}
	p.out = append(p.out, '"')
	ends := 0 // line feeds that stand before what comes
	for p.at < len(p.in) {
		p.line = p.at
		n := p.indent()
		end := p.at + bytes.IndexByte(p.rest(), '\n')
		switch {
		case p.at+n == end && n > 0: // spaces may be of the text
			return false
		case n == 0 && p.in[p.at] == '\n':
			ends++
			p.at++
			continue
		case n < indent:
			if n > parent {
				return false
			}
			return p.endLiteral(strip)
		}
		for range ends {
			p.out = append(p.out, `\n`...)
		}
		p.out = appendEscaped(p.out, p.in[p.at+indent:end])
		ends = 1
		p.at = end + 1
	}
	return p.endLiteral(strip)
}

func (p *plain) endLiteral(strip bool) bool {
	if !strip {
		p.out = append(p.out, `\n`...)
	}
	p.out = append(p.out, '"')
	p.at-- // where every value ends
	return true
}

// indent returns how many spaces come.
func (p *plain) indent() int {
	n := 0
	for p.at+n < len(p.in) && p.in[p.at+n] == ' ' {
		n++
	}
	return n
}
