package middleware

// Compress encodes the bodies of responses for clients that understand it.
type Compress struct {
	// Encodings are those that may be used, the preferred one first, of
	// "zstd", "br" and "gzip"; none means all, in this order. A client that
	// prefers one gets that.
	Encodings []string `json:"encodings,omitempty"`
	// Least is the shortest body that is worth it, in bytes; 0 is
	// DefaultCompressLeast. One whose length is not known before is.
	Least int64 `json:"least,omitempty"`
	// Types are the media types that are encoded, "text/*" for all of a kind,
	// "*/*" for all; none means CompressTypes.
	Types []string `json:"types,omitempty"`
	// Except are media types that are not, whatever Types says.
	Except []string `json:"except,omitempty"`
	// Level is 1, the fastest, to 9, the smallest; 0 leaves the choice to each
	// encoding.
	Level int `json:"level,omitempty"`
}

// DefaultCompressLeast is the least length that is encoded, in bytes: a shorter
// response stands in one packet, whatever is done to it.
const DefaultCompressLeast = 1024

// Kind is its name in the configuration.
func (Compress) Kind() string { return "compress" }
