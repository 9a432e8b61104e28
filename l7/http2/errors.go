package http2

import (
	"errors"
	"strconv"
)

// A Code says why a stream or a connection ended (RFC 9113, section 7).
type Code uint32

// The codes.
const (
	NoError            Code = 0x0
	ProtocolError      Code = 0x1
	InternalError      Code = 0x2
	FlowControlError   Code = 0x3
	SettingsTimeout    Code = 0x4
	StreamClosed       Code = 0x5
	FrameSizeError     Code = 0x6
	RefusedStream      Code = 0x7
	Cancel             Code = 0x8
	CompressionError   Code = 0x9
	ConnectError       Code = 0xa
	EnhanceYourCalm    Code = 0xb
	InadequateSecurity Code = 0xc
	HTTP11Required     Code = 0xd
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
	"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
	"CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String returns the code's name in the RFC.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// Errors of a stream that ended before its response did.
var (
	// ErrClosed is that of a stream whose connection is gone.
	ErrClosed = errors.New("http2: connection closed")
	// ErrStalled is that of a stream whose client took too long.
	ErrStalled = errors.New("http2: client stalled")
	// ErrEnded is that of a write behind the end of the response or where it
	// does not belong, and of a read that StopRead ended.
	ErrEnded = errors.New("http2: out of turn")
)

// A ResetError is that of a stream that was reset.
type ResetError struct {
	Code Code
	// Remote is whether the client did it.
	Remote bool
}

// Error says who reset the stream, and why.
func (e *ResetError) Error() string {
	if e.Remote {
		return "http2: stream reset by client: " + e.Code.String()
	}
	return "http2: stream reset: " + e.Code.String()
}

// A ConnError is a fault of the client's that ended the connection.
type ConnError struct {
	Code   Code
	Reason string
}

// Error gives code and reason.
func (e *ConnError) Error() string { return "http2: " + e.Code.String() + ": " + e.Reason }

func connError(code Code, reason string) error { return &ConnError{Code: code, Reason: reason} }
