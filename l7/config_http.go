package l7

// HTTP says which versions an entrypoint speaks beside HTTP/1.1.
type HTTP struct {
	// HTTP2 offers HTTP/2 to clients of an entrypoint with TLS. Default true.
	HTTP2 bool
	// H2C takes HTTP/2 from clients of one without that begin with it.
	// Default true.
	H2C bool
	// HTTP3 serves HTTP/3 at the same port of UDP.
	HTTP3 bool
}

// parseHTTP checks what s says of versions.
func parseHTTP(s EntrypointSection, key string, bad func(key, problem string)) HTTP {
	secure := s.TLS != nil
	if secure && s.H2C != nil {
		bad(key+".h2c", "is HTTP/2 without TLS, which this entrypoint speaks: its key is http2")
	}
	if !secure && s.HTTP2 != nil {
		bad(key+".http2", "is HTTP/2 over TLS, which this entrypoint does not speak: its key is h2c")
	}
	if !secure && s.HTTP3 {
		bad(key+".http3", "needs tls: there is no HTTP/3 in clear")
	}
	if s.HTTP3 && s.ProxyProtocol {
		bad(key+".http3", "stands beside proxy_protocol: HTTP/3 comes without a header that names the client")
	}
	return HTTP{
		HTTP2: secure && (s.HTTP2 == nil || *s.HTTP2),
		H2C:   !secure && (s.H2C == nil || *s.H2C),
		HTTP3: s.HTTP3,
	}
}

// protocols are those of ALPN, the preferred one first.
func (h HTTP) protocols() []string {
	if h.HTTP2 {
		return []string{"h2", "http/1.1"}
	}
	return []string{"http/1.1"}
}
