package http1

import "bytes"

// A Form is the form of a request target (RFC 9112, section 3.2). The
// authority-form belongs to CONNECT, which is refused before its target is
// looked at.
type Form uint8

// The forms of a request target.
const (
	Origin   Form = iota // /path?query
	Absolute             // http://host/path?query
	Asterisk             // the * of OPTIONS
	Authority
)

// A Method tells the methods that change how a message is read or retried.
type Method uint8

// The methods that matter.
const (
	OtherMethod Method = iota
	GET
	HEAD
	POST
	PUT
	DELETE
	OPTIONS
	TRACE
	CONNECT
)

// Idempotent reports whether a request that may have been executed may be sent
// again (RFC 9110, section 9.2.2).
func (m Method) Idempotent() bool {
	switch m {
	case GET, HEAD, PUT, DELETE, OPTIONS, TRACE:
		return true
	}
	return false
}

// A Request is a request head. It is reused: Parse overwrites it.
type Request struct {
	Head
	Method Method
	// MethodName and Target are as received.
	MethodName, Target Span
	Form               Form
	// Host is the authority that the request is for: that of an absolute
	// target, which replaces the Host field (RFC 9112, section 3.2.2), or
	// the Host field's. It is empty where HTTP/1.0 sends none.
	Host Span
	// Path ends before Query, which starts with "?" unless it is empty.
	Path, Query Span
	// Expect is whether the client waits for 100 (Continue).
	Expect bool
}

// Parse parses b, which is a whole head as HeadEnd finds it.
func (r *Request) Parse(b []byte, lim Limits) error {
	r.reset()
	*r = Request{Head: r.Head}
	line := bytes.IndexByte(b, '\n')
	if line < 1 || b[line-1] != '\r' {
		return ErrBareLF
	}
	if line-1 > lim.Line {
		return ErrLineLong
	}
	if len(b) > lim.Head {
		return ErrHeadLarge
	}
	if err := r.parseLine(b, line-1); err != nil {
		return err
	}
	if err := r.parseFields(b, line+1, lim); err != nil {
		return err
	}
	if err := r.findHost(); err != nil {
		return err
	}
	r.KeepAlive = r.persistent()
	// HTTP/1.0 knows neither expectations nor upgrades (RFC 9110, sections
	// 10.1.1 and 7.8).
	if f := r.Field(Expect); f != nil {
		if r.Minor == 0 {
			r.Discard(f)
		}
		r.Expect = r.Minor == 1 && Fold(f.Value.Of(b), "100-continue")
	}
	r.UpgradeOption = r.UpgradeOption && r.Minor == 1
	return r.frame(b)
}

// frame decides how the body ends. Every doubt refuses the request: whoever
// stands behind may resolve it in another way.
func (r *Request) frame(b []byte) error {
	switch {
	case r.codings > 0:
		return r.transferEncoding(b)
	case r.lengths > 0:
		return r.contentLength(b)
	}
	return nil
}

// parseLine parses method, target and version, each apart by one space.
func (r *Request) parseLine(b []byte, end int) error {
	first := bytes.IndexByte(b[:end], ' ')
	if first <= 0 || !isTokenString(b[:first]) {
		return ErrRequestLine
	}
	last := bytes.LastIndexByte(b[:end], ' ')
	target := b[first+1 : max(last, first+1)]
	if len(target) == 0 {
		return ErrRequestLine
	}
	for _, c := range target {
		// The fragment is not sent (RFC 9112, section 3.2); a path that goes
		// on behind "#" for some is CVE-2023-47106.
		if c <= ' ' || c == 0x7F || c == '#' {
			return ErrTarget
		}
	}
	switch version := b[last+1 : end]; {
	case string(version) == "HTTP/1.1":
		r.Minor = 1
	case string(version) == "HTTP/1.0":
	case len(version) == 8 && string(version[:5]) == "HTTP/":
		return ErrVersion
	default:
		return ErrRequestLine
	}
	r.MethodName = Span{0, uint32(first)}
	r.Target = Span{uint32(first + 1), uint32(last)}
	r.Method = methodOf(b[:first])
	return r.parseTarget(b)
}

// methodOf returns the method; its name is case-sensitive.
func methodOf(name []byte) Method {
	switch string(name) {
	case "GET":
		return GET
	case "HEAD":
		return HEAD
	case "POST":
		return POST
	case "PUT":
		return PUT
	case "DELETE":
		return DELETE
	case "OPTIONS":
		return OPTIONS
	case "TRACE":
		return TRACE
	case "CONNECT":
		return CONNECT
	}
	return OtherMethod
}

func (r *Request) parseTarget(b []byte) error {
	start, end := int(r.Target.Start), int(r.Target.End)
	switch t := b[start:end]; {
	case r.Method == CONNECT:
		r.Form = Authority
		return nil
	case t[0] == '/':
	case len(t) == 1 && t[0] == '*' && r.Method == OPTIONS:
		r.Form = Asterisk
		r.Path = r.Target
		return nil
	default:
		scheme := bytes.Index(t, []byte("://"))
		if scheme < 0 || !Fold(t[:scheme], "http") && !Fold(t[:scheme], "https") {
			return ErrTarget
		}
		r.Form = Absolute
		authority := start + scheme + len("://")
		start = authority
		for start < end && b[start] != '/' && b[start] != '?' {
			// Whether user information counts is read differently.
			if b[start] == '@' {
				return ErrTarget
			}
			start++
		}
		if start == authority { // RFC 9110, section 4.2.1
			return ErrTarget
		}
		r.Host = Span{uint32(authority), uint32(start)}
	}
	query := bytes.IndexByte(b[start:end], '?')
	if query < 0 {
		query = end - start
	}
	r.Path = Span{uint32(start), uint32(start + query)}
	r.Query = Span{uint32(start + query), uint32(end)}
	return nil
}

// findHost checks the Host fields (RFC 9112, section 3.2): one, which only
// HTTP/1.0 may leave out. Whether it is a host at all is checked where it is
// made canonical.
func (r *Request) findHost() error {
	hosts := 0
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Kind != Host {
			continue
		}
		hosts++
		if r.Form != Absolute {
			r.Host = f.Value
		}
	}
	if hosts > 1 || hosts == 0 && r.Minor == 1 {
		return ErrHost
	}
	return nil
}
