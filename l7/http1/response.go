package http1

import "bytes"

// A Response is a response head. It is reused: Parse overwrites it.
type Response struct {
	Head
	Status int
}

// Parse parses b, which is a whole head as HeadEnd finds it and answers a
// request with method m.
func (r *Response) Parse(b []byte, m Method, lim Limits) error {
	r.reset()
	*r = Response{Head: r.Head}
	line := bytes.IndexByte(b, '\n')
	if line < 1 || b[line-1] != '\r' {
		return ErrBareLF
	}
	if len(b) > lim.Head {
		return ErrHeadLarge
	}
	if err := r.parseLine(b[:line-1]); err != nil {
		return err
	}
	if err := r.parseFields(b, line+1, lim); err != nil {
		return err
	}
	return r.frame(b, m)
}

// KeepUpgrade lets the Upgrade fields of a 101 (Switching Protocols) pass.
func (r *Response) KeepUpgrade() {
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Kind == Upgrade && f.Drop {
			f.Drop = false
			r.Dropped--
		}
	}
}

// parseLine parses "HTTP/1.1 200 reason". The reason may be empty, and is
// often left out with the space before it.
func (r *Response) parseLine(b []byte) error {
	const head = len("HTTP/1.1 200")
	if len(b) < head || string(b[:7]) != "HTTP/1." || b[7] != '0' && b[7] != '1' || b[8] != ' ' ||
		len(b) > head && b[head] != ' ' || !validValue(b[head:]) {
		return ErrStatusLine
	}
	for _, c := range b[9:head] {
		if c < '0' || c > '9' {
			return ErrStatusLine
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 {
		return ErrStatusLine
	}
	r.Minor = int(b[7] - '0')
	return nil
}

// frame decides how the body ends (RFC 9112, section 6.3).
func (r *Response) frame(b []byte, m Method) error {
	// The codings and lengths are checked where they frame nothing, too:
	// whoever reads the forwarded head may believe them.
	switch {
	case r.codings > 0:
		if err := r.transferEncoding(b); err != nil {
			return err
		}
	case r.lengths > 0:
		if err := r.contentLength(b); err != nil {
			return err
		}
	default:
		r.Framing = Close
	}
	interim := r.Status < 200
	if interim || r.Status == 204 {
		// Neither field may stand here (RFC 9112, section 6.1; RFC 9110,
		// section 8.6). Some servers send "Content-Length: 0" with 204.
		for i := range r.Fields {
			if k := r.Fields[i].Kind; k == ContentLength || k == TransferEncoding {
				r.Discard(&r.Fields[i])
			}
		}
	}
	if interim || r.Status == 204 || r.Status == 304 || m == HEAD {
		r.Framing, r.Length = None, 0
	}
	r.KeepAlive = r.persistent() && r.Framing != Close
	return nil
}
