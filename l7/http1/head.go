// Package http1 reads HTTP/1.1 messages (RFC 9112) from a buffer, strictly.
//
// A head is parsed into offsets of the buffer that holds it: nothing is copied,
// nothing allocated once the slices have grown, and what is forwarded is what
// was looked at. Where the RFC leaves a choice between repairing and refusing
// a message, it is refused: two programs that repair differently are what
// request smuggling is made of.
package http1

import "bytes"

// Limits bound a head.
type Limits struct {
	Head   int // bytes of a head
	Line   int // bytes of a request line
	Fields int // header fields
}

// DefaultLimits are above what browsers and common servers send and accept.
var DefaultLimits = Limits{Head: 64 << 10, Line: 16 << 10, Fields: 128}

// HeadEnd returns the length of the head that b starts with, its empty line
// included, and 0 while b holds no whole one. The first searched bytes were
// seen by an earlier call.
func HeadEnd(b []byte, searched int) int {
	from := max(0, searched-3)
	if i := bytes.Index(b[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4
	}
	return 0
}

// Partial says why the head that b starts with, not yet whole, need not be
// waited for. The first searched bytes were seen by an earlier call.
func Partial(b []byte, searched int, lim Limits) error {
	for i := searched; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			break
		}
		if i += n; i == 0 || b[i-1] != '\r' {
			return ErrBareLF
		}
	}
	if len(b) > lim.Line && bytes.IndexByte(b[:lim.Line], '\n') < 0 {
		return ErrLineLong
	}
	if len(b) >= lim.Head {
		return ErrHeadLarge
	}
	return nil
}

// A Framing says how a body ends (RFC 9112, section 6.3).
type Framing uint8

// The ways a body ends.
const (
	None    Framing = iota // there is no body
	Length                 // after a known number of bytes
	Chunked                // as the chunked coding says
	Close                  // with the connection; responses only
)

// Head is what requests and responses have in common.
type Head struct {
	// Minor is the version's last digit: 0 or 1.
	Minor int
	// Fields are the header fields in their order.
	Fields []Field
	// FieldsStart is where the first field line starts, Size where the body
	// does: the empty line is the last two bytes before it.
	FieldsStart, Size int
	// Framing is how the body ends, Length how long it is where that is
	// known, 0 otherwise.
	Framing Framing
	Length  int64
	// KeepAlive is whether the sender lets the connection live on.
	KeepAlive bool
	// UpgradeOption is whether the Connection field names upgrade.
	UpgradeOption bool
	// Dropped counts the fields with Drop set.
	Dropped int

	lengths, codings                int
	lengthField, codingField        int
	closeOption, keepOption, hasOpt bool
}

func (h *Head) reset() { *h = Head{Fields: h.Fields[:0]} }

// parseFields parses the field lines b[at:], up to the empty line that ends b.
func (h *Head) parseFields(b []byte, at int, lim Limits) error {
	h.FieldsStart, h.Size = at, len(b)
	end := len(b) - 2
	for at < end {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 1 || b[at+n-1] != '\r' {
			return ErrBareLF
		}
		if len(h.Fields) == lim.Fields {
			return ErrFields
		}
		if err := h.parseField(b, at, at+n-1); err != nil {
			return err
		}
		at += n + 1
	}
	if h.hasOpt {
		return h.connectionOptions(b)
	}
	return nil
}

// parseField parses the line b[at:end]; end is where its CRLF starts.
func (h *Head) parseField(b []byte, at, end int) error {
	line := b[at:end]
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			return ErrFold
		}
		return ErrFieldName
	}
	kind, ok := nameKind(line[:colon])
	if !ok {
		// A blank before the colon is refused here as well (RFC 9112,
		// section 5.1).
		if line[0] == ' ' || line[0] == '\t' {
			return ErrFold
		}
		return ErrFieldName
	}
	value := line[colon+1:]
	if !validValue(value) {
		return ErrFieldValue
	}
	start := colon + 1 + trimStart(value)
	stop := colon + 1 + trimEnd(value)
	f := Field{
		Name:  Span{uint32(at), uint32(at + colon)},
		Value: Span{uint32(at + start), uint32(at + max(start, stop))},
		End:   uint32(end + 2),
		Kind:  kind,
	}
	switch kind {
	case Other, Host, Expect:
	case ContentLength:
		h.lengths++
		h.lengthField = len(h.Fields)
	case TransferEncoding:
		h.codings++
		h.codingField = len(h.Fields)
	case Connection:
		h.hasOpt = true
		f.Drop = true
	case Upgrade, TE, Hop:
		f.Drop = true
	}
	if f.Drop {
		h.Dropped++
	}
	h.Fields = append(h.Fields, f)
	return nil
}

// Discard marks f, a field of h, as not to be forwarded.
func (h *Head) Discard(f *Field) {
	if !f.Drop {
		f.Drop = true
		h.Dropped++
	}
}

// Field returns the first field of a kind, or nil.
func (h *Head) Field(k Kind) *Field {
	for i := range h.Fields {
		if h.Fields[i].Kind == k {
			return &h.Fields[i]
		}
	}
	return nil
}

// contentLength parses the only Content-Length field.
func (h *Head) contentLength(b []byte) error {
	if h.lengths > 1 {
		return ErrLength
	}
	digits := h.Fields[h.lengthField].Value.Of(b)
	if len(digits) == 0 || len(digits) > 18 { // 18 digits fit an int64
		return ErrLength
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return ErrLength
		}
		h.Length = h.Length*10 + int64(c-'0')
	}
	h.Framing = Length
	return nil
}

// transferEncoding accepts the one coding that every recipient understands.
func (h *Head) transferEncoding(b []byte) error {
	if h.codings > 1 || h.Minor == 0 || !Fold(h.Fields[h.codingField].Value.Of(b), "chunked") {
		return ErrCoding
	}
	if h.lengths > 0 {
		return ErrFraming
	}
	h.Framing = Chunked
	return nil
}
