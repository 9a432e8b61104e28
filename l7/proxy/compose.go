package proxy

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/portico-lb/portico/l7/http1"
)

// compose writes the head that the endpoint gets: the target in the form that
// was matched, the fields that are meant for it, and who is asking. A proxy
// speaks its own version (RFC 9110, section 6.2).
func (c *client) compose(x *exchange, head []byte) {
	r := &x.req
	out := append(x.out[:0], r.MethodName.Of(head)...)
	out = append(out, ' ')
	out = append(out, x.path...)
	out = append(out, r.Query.Of(head)...)
	out = append(out, " HTTP/1.1\r\n"...)

	host := r.Host.Of(head)
	if r.Form == http1.Absolute || r.Field(http1.Host) == nil {
		// RFC 9112, section 3.2.2; and an empty one where none is known.
		if f := r.Field(http1.Host); f != nil {
			r.Discard(f)
		}
		out = append(append(append(out, "Host: "...), host...), '\r', '\n')
	}
	x.altSvc = c.altSvc(host)
	x.retrace(head)
	kept := c.believe(r)
	out = appendFields(out, &r.Head, head)
	if x.hops > 0 {
		out = strconv.AppendUint(append(out, "Max-Forwards: "...), x.hops-1, 10)
		out = append(out, '\r', '\n')
	}
	out = c.appendForwarded(out, r, head, host, kept)
	out = x.appendTrace(out)
	switch te := r.Field(http1.TE); {
	case x.upgrade:
		out = append(out, "Connection: Upgrade\r\nUpgrade: "...)
		out = append(out, r.Field(http1.Upgrade).Value.Of(head)...)
		out = append(out, '\r', '\n')
	case te != nil && http1.HasElement(te.Value.Of(head), "trailers"):
		// We carry trailers (RFC 9110, section 10.1.4).
		out = append(out, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	x.out = append(out, '\r', '\n')
}

// appendFields appends the field lines that are not dropped, as received, in
// runs as long as possible.
func appendFields(out []byte, h *http1.Head, head []byte) []byte {
	start := h.FieldsStart
	if h.Dropped > 0 {
		for i := range h.Fields {
			if f := &h.Fields[i]; f.Drop {
				out = append(out, head[start:f.Name.Start]...)
				start = int(f.End)
			}
		}
	}
	return append(out, head[start:h.Size-2]...)
}

// believe drops what a client says about itself, unless it is a trusted proxy
// that says it about its client. It returns which kinds stay.
func (c *client) believe(r *http1.Request) (kept kinds) {
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.Kind {
		case http1.Alias, http1.XForwardedFor, http1.XRealIP:
			// Those of a trusted proxy are merged in appendForwarded.
			r.Discard(f)
		case http1.Forwarded, http1.XForwarded,
			http1.XForwardedProto, http1.XForwardedHost, http1.XForwardedPort:
			if !c.trusted {
				r.Discard(f)
			}
			kept |= 1 << f.Kind
		}
	}
	if !c.trusted {
		return 0
	}
	return kept
}

// kinds is a set of http1.Kind.
type kinds uint32

func (k kinds) has(kind http1.Kind) bool { return k>>kind&1 != 0 }

// appendForwarded appends the lines that tell the endpoint who asked for what.
func (c *client) appendForwarded(out []byte, r *http1.Request, head, host []byte, kept kinds) []byte {
	if c.trusted {
		out = c.appendTrusted(out, r, head)
		if !kept.has(http1.XForwardedProto) {
			out = append(append(append(out, "X-Forwarded-Proto: "...), c.scheme()...), '\r', '\n')
		}
	} else {
		out = append(out, c.forwarded...)
	}
	if !kept.has(http1.XForwardedHost) && len(host) > 0 {
		out = append(append(append(out, "X-Forwarded-Host: "...), host...), '\r', '\n')
	}
	if !kept.has(http1.XForwardedPort) {
		out = append(append(append(out, "X-Forwarded-Port: "...), c.port(host)...), '\r', '\n')
	}
	return out
}

// port is the port the client connected to as it sees it.
func (c *client) port(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && i+1 < len(host) && host[len(host)-1] != ']' {
		return host[i+1:]
	}
	if c.secure {
		return []byte("443")
	}
	return []byte("80")
}

// appendTrusted appends X-Forwarded-For, with the peer behind what the peer
// says, and X-Real-Ip: read from the right, the first address that is not a
// trusted proxy's. What stands further left anybody may have written.
func (c *client) appendTrusted(out []byte, r *http1.Request, head []byte) []byte {
	out = append(out, "X-Forwarded-For: "...)
	list := len(out)
	out = appendChain(out, r, head)
	client := c.realClient(out[list:])
	out = append(c.peer.AppendTo(out), "\r\nX-Real-Ip: "...)
	return append(client.AppendTo(out), '\r', '\n')
}

// appendChain appends what X-Forwarded-For says, "a, b, c, ".
func appendChain(out []byte, r *http1.Request, head []byte) []byte {
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Kind == http1.XForwardedFor && f.Value.Len() > 0 {
			out = append(append(out, f.Value.Of(head)...), ", "...)
		}
	}
	return out
}

// realClient walks list, "a, b, c, ", from the right.
func (c *client) realClient(list []byte) netip.Addr {
	client := c.peer
	for len(list) > 0 && c.s.trusts(client) {
		list = bytes.TrimRight(list, ", \t")
		start := bytes.LastIndexByte(list, ',') + 1
		a, ok := parseAddr(bytes.TrimSpace(list[start:]))
		if !ok {
			break
		}
		client, list = a, list[:start]
	}
	return client
}

// parseAddr parses an address as proxies write it: bare, or with a port.
func parseAddr(b []byte) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(string(b)); err == nil {
		return a.Unmap().WithZone(""), true
	}
	ap, err := netip.ParseAddrPort(string(b))
	return ap.Addr().Unmap().WithZone(""), err == nil
}
