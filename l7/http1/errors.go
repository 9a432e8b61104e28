package http1

// An Error says why a message is refused. Those of a request carry the status
// to answer with; after each of them the connection closes, because nobody can
// say where the next message would start.
type Error struct {
	status int
	text   string
}

// Error returns the reason in words that may be shown to the peer.
func (e *Error) Error() string { return e.text }

// Status returns the status code that answers a request refused for e.
func (e *Error) Status() int { return e.status }

// Why a message is refused.
var (
	ErrLineLong  = &Error{414, "request line is too long"}
	ErrHeadLarge = &Error{431, "header section is too large"}
	ErrFields    = &Error{431, "too many header fields"}

	ErrBareLF      = &Error{400, "line ends without CR"}
	ErrRequestLine = &Error{400, "malformed request line"}
	ErrTarget      = &Error{400, "malformed request target"}
	ErrVersion     = &Error{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"}
	ErrStatusLine  = &Error{400, "malformed status line"}
	ErrFieldName   = &Error{400, "malformed header field name"}
	ErrFieldValue  = &Error{400, "control character in a header field"}
	ErrFold        = &Error{400, "folded header field"}
	ErrHost        = &Error{400, "missing, repeated or malformed host"}
	ErrLength      = &Error{400, "repeated or malformed content length"}
	ErrCoding      = &Error{400, "transfer coding other than one chunked"}
	ErrFraming     = &Error{400, "both content length and transfer coding"}
	ErrOptions     = &Error{400, "malformed or too many connection options"}

	ErrBodyLarge = &Error{413, "request body is too large"}

	ErrChunk   = &Error{400, "malformed chunk"}
	ErrTrailer = &Error{400, "malformed or forbidden trailer field"}
)
