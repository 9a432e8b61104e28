package accesslog

import "encoding/hex"

// A Trace is where a request stands in a distributed trace (W3C Trace Context,
// level 1). The zero Trace is none.
type Trace struct {
	// ID is the trace's, Span that of this request here, Parent that of who
	// asked; a zero Parent begins the trace.
	ID           [16]byte
	Span, Parent [8]byte
	// Sampled says that the spans of the trace are recorded.
	Sampled bool
	// Continued says that ID is the client's.
	Continued bool
}

// Valid reports whether t is a trace at all.
func (t *Trace) Valid() bool { return t.ID != [16]byte{} }

// AppendParent appends the value of the traceparent field that an endpoint gets
// (section 3.2).
func (t *Trace) AppendParent(dst []byte) []byte {
	dst = append(dst, "00-"...)
	dst = hex.AppendEncode(dst, t.ID[:])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, t.Span[:])
	if t.Sampled {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}
