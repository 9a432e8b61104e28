package http2

import "bytes"

// An encoder writes header blocks (RFC 7541). What a server sends again and
// again - its name, its policies, the types of its content - goes into the
// table when it is seen the second time; what differs from response to
// response would only push that out. Strings are not Huffman-coded: that costs
// more time than the fifth of a head that it saves.
type encoder struct {
	table table
	seen  [64]uint32 // hashes of what may be inserted next time, by hash
	slots [64]slot   // where it is in the table, by hash
	added int        // insertions ever
	most  int        // the peer's limit
	told  int        // the size that the peer knows
	lower []byte     // a name in lower case
}

// A slot tells where in the table something may be.
type slot struct{ nth int }

func newEncoder() encoder {
	return encoder{table: table{max: tableSize}, most: tableSize, told: tableSize}
}

// limit takes over the peer's limit for the table. Less holds at once.
func (e *encoder) limit(size uint32) {
	e.most = int(min(size, tableSize))
	if e.most < e.table.max {
		e.table.resize(e.most)
	}
}

// begin appends what starts every block: changes of the table's size (RFC
// 7541, section 4.2). Where it has shrunk and may grow again it says so in two
// blocks: there are decoders that take one change a block.
func (e *encoder) begin(b []byte) []byte {
	if e.told == e.table.max {
		e.table.resize(e.most)
	}
	if e.told != e.table.max {
		e.told = e.table.max
		b = appendInteger(b, 0x20, 5, e.told)
	}
	return b
}

// status appends the :status field.
func (e *encoder) status(b []byte, status int) []byte {
	for i := 8; i <= 14; i++ {
		if v := staticTable[i-1].value; int(v[0]-'0')*100+int(v[1]-'0')*10+int(v[2]-'0') == status {
			return append(b, 0x80|byte(i))
		}
	}
	return append(b, 0x08, 3, '0'+byte(status/100%10), '0'+byte(status/10%10), '0'+byte(status%10))
}

// field appends a field; its name may be in any case.
func (e *encoder) field(b, name, value []byte) []byte {
	e.lower = appendLower(e.lower[:0], name)
	name = e.lower
	index, policy := staticName(name)
	if policy == varies {
		return appendLiteral(b, 0x00, 4, index, name, value)
	}
	if policy == secret {
		return appendLiteral(b, 0x10, 4, index, name, value)
	}
	if len(name)+len(value)+overhead > e.table.max/4 {
		return appendLiteral(b, 0x00, 4, index, name, value)
	}
	h := hash(name, value)
	at := h % uint32(len(e.slots))
	if i := e.added - e.slots[at].nth; i < e.table.len() {
		if n, v := e.table.at(i); bytes.Equal(n, name) && bytes.Equal(v, value) {
			return appendInteger(b, 0x80, 7, len(staticTable)+1+i)
		}
	}
	if e.seen[at] != h {
		e.seen[at] = h
		return appendLiteral(b, 0x00, 4, index, name, value)
	}
	e.table.add(name, value)
	e.added++
	e.slots[at].nth = e.added
	return appendLiteral(b, 0x40, 6, index, name, value)
}

func appendLower(b, name []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	return b
}

// hash is FNV-1a, never 0.
func hash(name, value []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range name {
		h = (h ^ uint32(c)) * 16777619
	}
	h = (h ^ ':') * 16777619
	for _, c := range value {
		h = (h ^ uint32(c)) * 16777619
	}
	return h | 1
}

// appendLiteral appends a literal field with the given first bits, its name
// from the static table if index is not 0.
func appendLiteral(b []byte, first byte, prefix uint, index int, name, value []byte) []byte {
	b = appendInteger(b, first, prefix, index)
	if index == 0 {
		b = append(appendInteger(b, 0, 7, len(name)), name...)
	}
	return append(appendInteger(b, 0, 7, len(value)), value...)
}

// appendInteger appends v with a prefix of n bits (RFC 7541, section 5.1)
// behind the first bits.
func appendInteger(b []byte, first byte, n uint, v int) []byte {
	most := 1<<n - 1
	if v < most {
		return append(b, first|byte(v))
	}
	b = append(b, first|byte(most))
	for v -= most; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// A policy says what becomes of a field's value.
type policy uint8

const (
	repeats policy = iota // worth a place in the table
	varies                // different in every response
	secret                // never to be indexed by anybody (RFC 7541, section 7.1)
)

// staticName returns the index of a name in the static table, 0 where it is
// not there, and the policy of its values.
func staticName(name []byte) (int, policy) {
	switch string(name) {
	case "accept-ranges":
		return 18, repeats
	case "access-control-allow-origin":
		return 20, repeats
	case "age":
		return 21, varies
	case "allow":
		return 22, repeats
	case "authorization":
		return 23, secret
	case "cache-control":
		return 24, repeats
	case "content-disposition":
		return 25, varies
	case "content-encoding":
		return 26, repeats
	case "content-language":
		return 27, repeats
	case "content-length":
		return 28, varies
	case "content-location":
		return 29, varies
	case "content-range":
		return 30, varies
	case "content-type":
		return 31, repeats
	case "date":
		return 33, varies
	case "etag":
		return 34, varies
	case "expires":
		return 36, varies
	case "last-modified":
		return 44, varies
	case "link":
		return 45, repeats
	case "location":
		return 46, varies
	case "proxy-authenticate":
		return 48, repeats
	case "retry-after":
		return 53, varies
	case "server":
		return 54, repeats
	case "set-cookie":
		return 55, secret
	case "strict-transport-security":
		return 56, repeats
	case "vary":
		return 59, repeats
	case "via":
		return 60, repeats
	case "www-authenticate":
		return 61, repeats
	}
	return 0, repeats
}
