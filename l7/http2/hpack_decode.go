package http2

import (
	"errors"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// errCompression is that of a header block that cannot be decoded: the tables
// of the two sides differ from then on, which ends the connection.
var errCompression = errors.New("header block cannot be decoded")

// A decoder reads header blocks (RFC 7541). Unlike the hpack package's, it
// yields bytes and keeps no index of what it holds: a warm one allocates
// nothing.
type decoder struct {
	table   table
	block   []byte
	begun   bool   // a field was read: the table's size cannot change any more
	name    []byte // holds a name that does not outlive an insertion
	huffman [2]scratch
}

// scratch is an io.Writer over a reused slice.
type scratch []byte

func (s *scratch) Write(p []byte) (int, error) {
	*s = append((*s)[:0], p...)
	return len(p), nil
}

func newDecoder() decoder { return decoder{table: table{max: tableSize}} }

// start begins a block; the fields before must not be used any more.
func (d *decoder) start(block []byte) { d.block, d.begun = block, false }

// next returns the next field, valid until the next call, and false behind the
// last one.
func (d *decoder) next() (name, value []byte, ok bool, err error) {
	for len(d.block) > 0 && d.block[0]&0xe0 == 0x20 { // section 6.3
		size, err := d.integer(5)
		if err != nil || d.begun || size > tableSize {
			return nil, nil, false, errCompression
		}
		d.table.resize(size)
	}
	if len(d.block) == 0 {
		return nil, nil, false, nil
	}
	d.begun = true
	switch b := d.block[0]; {
	case b&0x80 != 0: // section 6.1
		i, err := d.integer(7)
		if err != nil {
			return nil, nil, false, err
		}
		name, value, err = d.indexed(i)
		return name, value, err == nil, err
	case b&0x40 != 0: // section 6.2.1
		return d.literal(6, true)
	}
	return d.literal(4, false) // sections 6.2.2 and 6.2.3
}

// literal reads a field whose value, and maybe name, is in the block.
func (d *decoder) literal(prefix uint, insert bool) (name, value []byte, ok bool, err error) {
	i, err := d.integer(prefix)
	if err != nil {
		return nil, nil, false, err
	}
	if i == 0 {
		name, err = d.str(0)
	} else if name, _, err = d.indexed(i); insert && i > len(staticTable) {
		d.name = append(d.name[:0], name...)
		name = d.name
	}
	if err != nil {
		return nil, nil, false, err
	}
	if value, err = d.str(1); err != nil {
		return nil, nil, false, err
	}
	if insert {
		d.table.add(name, value)
	}
	return name, value, true, nil
}

// indexed returns an entry of the two tables (section 2.3.3).
func (d *decoder) indexed(i int) (name, value []byte, err error) {
	if i == 0 || i > len(staticTable)+d.table.len() {
		return nil, nil, errCompression
	}
	if i > len(staticTable) {
		name, value = d.table.at(i - len(staticTable) - 1)
		return name, value, nil
	}
	p := &staticBytes[i-1]
	return p[0], p[1], nil
}

// staticBytes is staticTable in the type that fields have.
var staticBytes = func() (t [len(staticTable)][2][]byte) {
	for i, p := range staticTable {
		t[i] = [2][]byte{[]byte(strings.Clone(p.name)), []byte(strings.Clone(p.value))}
	}
	return t
}()

// integer reads an integer with a prefix of n bits (section 5.1). None that is
// of use here exceeds 28 bits, so longer ones are errors.
func (d *decoder) integer(n uint) (int, error) {
	if len(d.block) == 0 {
		return 0, errCompression
	}
	most := 1<<n - 1
	v := int(d.block[0]) & most
	d.block = d.block[1:]
	if v < most {
		return v, nil
	}
	for shift := uint(0); shift <= 21 && len(d.block) > 0; shift += 7 {
		b := d.block[0]
		d.block = d.block[1:]
		v += int(b&0x7f) << shift
		if b&0x80 == 0 {
			return v, nil
		}
	}
	return 0, errCompression
}

// str reads a string (section 5.2); the two of a field have scratch space of
// their own.
func (d *decoder) str(which int) ([]byte, error) {
	coded := len(d.block) > 0 && d.block[0]&0x80 != 0
	n, err := d.integer(7)
	if err != nil || n > len(d.block) {
		return nil, errCompression
	}
	b := d.block[:n]
	d.block = d.block[n:]
	if !coded {
		return b, nil
	}
	s := &d.huffman[which]
	*s = (*s)[:0]
	if _, err := hpack.HuffmanDecode(s, b); err != nil {
		return nil, errCompression
	}
	return *s, nil
}
