package route

// A Protocol is how an endpoint is spoken to.
type Protocol uint8

// The protocols. The zero Protocol leaves it open; HTTP is what is meant then.
const (
	_     Protocol = iota
	HTTP           // HTTP/1.1 in clear
	HTTPS          // HTTP/1.1 over TLS
	H2C            // HTTP/2 in clear, with prior knowledge (RFC 9113, section 3.3)
	H2             // HTTP/2 over TLS
)

// Protocols are the names of the protocols, in order; the zero one has none.
var Protocols = []string{HTTP: "http", HTTPS: "https", H2C: "h2c", H2: "h2"}

// String returns p's name, "" for the zero Protocol.
func (p Protocol) String() string { return Protocols[p] }

// MarshalText writes p's name.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// TLS reports whether p is spoken over TLS.
func (p Protocol) TLS() bool { return p == HTTPS || p == H2 }

// HTTP2 reports whether p is HTTP/2.
func (p Protocol) HTTP2() bool { return p == H2C || p == H2 }

// AppProtocol returns the Protocol that the appProtocol of a Service's port
// names (KEP-3726, and the names in use before it). ok is false for one that
// is not HTTP. Websockets are HTTP/1.1, gRPC is HTTP/2.
func AppProtocol(name string) (p Protocol, ok bool) {
	switch name {
	case "":
		return 0, true
	case "http", "kubernetes.io/http", "kubernetes.io/ws", "ws":
		return HTTP, true
	case "https", "kubernetes.io/https", "kubernetes.io/wss", "wss":
		return HTTPS, true
	case "kubernetes.io/h2c", "h2c", "grpc", "kubernetes.io/grpc":
		return H2C, true
	case "h2", "grpcs", "kubernetes.io/grpcs":
		return H2, true
	}
	return 0, false
}
