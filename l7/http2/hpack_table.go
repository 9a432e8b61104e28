package http2

// A pair is an entry of a table.
type pair struct{ name, value string }

// staticTable is that of RFC 7541, appendix A; its first entry has index 1.
var staticTable = [...]pair{
	{":authority", ""},
	{":method", "GET"},
	{":method", "POST"},
	{":path", "/"},
	{":path", "/index.html"},
	{":scheme", "http"},
	{":scheme", "https"},
	{":status", "200"},
	{":status", "204"},
	{":status", "206"},
	{":status", "304"},
	{":status", "400"},
	{":status", "404"},
	{":status", "500"},
	{"accept-charset", ""},
	{"accept-encoding", "gzip, deflate"},
	{"accept-language", ""},
	{"accept-ranges", ""},
	{"accept", ""},
	{"access-control-allow-origin", ""},
	{"age", ""},
	{"allow", ""},
	{"authorization", ""},
	{"cache-control", ""},
	{"content-disposition", ""},
	{"content-encoding", ""},
	{"content-language", ""},
	{"content-length", ""},
	{"content-location", ""},
	{"content-range", ""},
	{"content-type", ""},
	{"cookie", ""},
	{"date", ""},
	{"etag", ""},
	{"expect", ""},
	{"expires", ""},
	{"from", ""},
	{"host", ""},
	{"if-match", ""},
	{"if-modified-since", ""},
	{"if-none-match", ""},
	{"if-range", ""},
	{"if-unmodified-since", ""},
	{"last-modified", ""},
	{"link", ""},
	{"location", ""},
	{"max-forwards", ""},
	{"proxy-authenticate", ""},
	{"proxy-authorization", ""},
	{"range", ""},
	{"referer", ""},
	{"refresh", ""},
	{"retry-after", ""},
	{"server", ""},
	{"set-cookie", ""},
	{"strict-transport-security", ""},
	{"transfer-encoding", ""},
	{"user-agent", ""},
	{"vary", ""},
	{"via", ""},
	{"www-authenticate", ""},
}

// overhead is what an entry counts beside its bytes (RFC 7541, section 4.1).
const overhead = 32

// A table is a dynamic table (RFC 7541, section 2.3.2). What at returns is
// valid until the next add.
type table struct {
	entries   []entry // the oldest first; those before first are gone
	first     int
	bytes     []byte
	size, max int
}

// An entry is name bytes[start:mid] and value bytes[mid:end].
type entry struct{ start, mid, end int }

func (t *table) len() int { return len(t.entries) - t.first }

// at returns entry i, 0 being the newest.
func (t *table) at(i int) (name, value []byte) {
	e := t.entries[len(t.entries)-1-i]
	return t.bytes[e.start:e.mid], t.bytes[e.mid:e.end]
}

// add inserts an entry, which must not lie in the table's own bytes. One that
// is larger than the table empties it (section 4.4).
func (t *table) add(name, value []byte) {
	n := len(name) + len(value) + overhead
	t.shrink(t.max - n)
	if n > t.max {
		return
	}
	t.compact(len(name) + len(value))
	start := len(t.bytes)
	t.bytes = append(append(t.bytes, name...), value...)
	t.entries = append(t.entries, entry{start, start + len(name), len(t.bytes)})
	t.size += n
}

// resize sets the largest size.
func (t *table) resize(most int) {
	t.max = most
	t.shrink(most)
}

// shrink evicts the oldest until the size is at most most.
func (t *table) shrink(most int) {
	for t.size > max(most, 0) {
		e := t.entries[t.first]
		t.first++
		t.size -= e.end - e.start + overhead
	}
	if t.first == len(t.entries) {
		t.entries, t.bytes, t.first = t.entries[:0], t.bytes[:0], 0
	}
}

// compact moves the entries to the front where appending n bytes and an entry
// would grow the slices though part of them is free.
func (t *table) compact(n int) {
	full := len(t.bytes)+n > cap(t.bytes) || len(t.entries) == cap(t.entries)
	if t.first == 0 || !full {
		return
	}
	from := t.entries[t.first].start
	t.bytes = t.bytes[:copy(t.bytes, t.bytes[from:])]
	t.entries = t.entries[:copy(t.entries, t.entries[t.first:])]
	for i := range t.entries {
		e := &t.entries[i]
		e.start, e.mid, e.end = e.start-from, e.mid-from, e.end-from
	}
	t.first = 0
}
