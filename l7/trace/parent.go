package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/portico-lb/portico/l7/accesslog"
)

// parentLen is the length of a traceparent of version 00, in bytes.
const parentLen = len("00-") + 32 + len("-") + 16 + len("-00")

// parse reads a traceparent (W3C Trace Context, section 3.2). Versions to come
// begin as this one does.
func parse(b []byte) (t accesslog.Trace, ok bool) {
	if len(b) < parentLen || b[2] != '-' || b[35] != '-' || b[52] != '-' {
		return t, false
	}
	var version, flags [1]byte
	if !unhex(version[:], b[:2]) || !unhex(t.ID[:], b[3:35]) || !unhex(t.Parent[:], b[36:52]) || !unhex(flags[:], b[53:55]) {
		return t, false
	}
	switch {
	case version[0] == 0xFF, version[0] == 0 && len(b) > parentLen, len(b) > parentLen && b[parentLen] != '-':
		return t, false
	case !t.Valid(), t.Parent == [8]byte{}:
		return t, false
	}
	t.Sampled, t.Continued = flags[0]&1 != 0, true
	return t, true
}

// unhex decodes src, which must be in lower case.
func unhex(dst, src []byte) bool {
	for _, c := range src {
		if 'A' <= c && c <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}

// Begin makes the trace of a request: that which it comes with, or a new one.
// What is recorded is our decision, unless a proxy has made it that is trusted:
// strangers must not fill the collector.
func (t *Tracer) Begin(traceparent []byte, trusted bool) accesslog.Trace {
	trace, ok := parse(traceparent)
	if !ok {
		trace = accesslog.Trace{}
		binary.BigEndian.PutUint64(trace.ID[:8], rand.Uint64())
		binary.BigEndian.PutUint64(trace.ID[8:], rand.Uint64()|1) // never all zero
	}
	if !ok || !trusted {
		trace.Sampled = t.samples(trace.ID)
	}
	binary.BigEndian.PutUint64(trace.Span[:], rand.Uint64()|1)
	return trace
}

// samples decides by the identifier, so that all who see a trace decide alike
// (OpenTelemetry, TraceIdRatioBased).
func (t *Tracer) samples(id [16]byte) bool {
	return float64(binary.BigEndian.Uint64(id[8:])>>1) < t.config.Sample*(1<<63)
}
