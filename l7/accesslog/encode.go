package accesslog

import (
	"bytes"
	"slices"
	"strconv"
	"time"
)

// A plan is how lines are written under one configuration.
type plan struct {
	columns []planned
	headers []headerColumns
	common  bool
	modes   map[string]Mode
	others  Mode
	dropped map[string]bool
	queries Queries
}

// A planned column has its key as it stands in a line.
type planned struct {
	key   string
	value func(e *encoder, dst []byte, r *Record) []byte
}

// headerColumns are the fields of one head.
type headerColumns struct {
	prefix string
	of     func(*Record) []Field
}

func newPlan(c Config) *plan {
	p := &plan{
		common: c.Common, modes: c.Headers, others: c.OtherHeaders, dropped: map[string]bool{}, queries: c.Queries,
		headers: []headerColumns{
			{`,"request_`, func(r *Record) []Field { return r.Request }},
			{`,"origin_`, func(r *Record) []Field { return r.OriginFields }},
			{`,"downstream_`, func(r *Record) []Field { return r.Downstream }},
		},
	}
	for _, name := range c.Drop {
		p.dropped[name] = true
	}
	for _, col := range columns() {
		if !slices.Contains(c.Drop, col.name) {
			p.columns = append(p.columns, planned{`,"` + col.name + `":`, col.value})
		}
	}
	return p
}

// fields reports whether lines need header fields of requests, and of responses.
func (p *plan) fields() (request, response bool) {
	if p.others != Drop {
		return true, true
	}
	for name, m := range p.modes {
		request = request || m != Drop
		response = response || m != Drop && !slices.Contains(ofRequests, name)
	}
	return request, response
}

// ofRequests are fields that no response has, among those that are logged most.
// To list those of responses costs each request something.
var ofRequests = []string{
	"user-agent", "referer", "authorization", "proxy-authorization", "cookie", "host", "accept", "accept-language",
	"accept-encoding", "origin", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip",
}

// mode is what becomes of the header field name, which is in lower case.
func (p *plan) mode(name []byte) Mode {
	if m, ok := p.modes[string(name)]; ok {
		return m
	}
	if p.others == Keep && credential(name) {
		return Redact
	}
	return p.others
}

// secret are parts of the names of header fields that are redacted where they
// are kept without having been named: what proxies and applications call their
// credentials has no end.
var secret = [][]byte{
	[]byte("authoriz"), []byte("x-auth"), []byte("authentication-info"), []byte("cookie"), []byte("token"), []byte("jwt"),
	[]byte("oidc-data"), []byte("api-key"), []byte("apikey"), []byte("secret"), []byte("password"), []byte("credential"),
	[]byte("session"), []byte("signature"), []byte("passwd"), []byte("api_key"),
}

// credential reports whether the header field name, which is in lower case,
// looks like that of a credential.
func credential(name []byte) bool {
	return slices.ContainsFunc(secret, func(part []byte) bool { return bytes.Contains(name, part) })
}

// An encoder writes lines; one goroutine uses it at a time.
type encoder struct {
	line, scratch []byte
	queries       *Queries
	utc, local    stamp
	// count is the number of the request.
	count uint64
	// suite is the latest cipher suite, 0 with an empty name.
	suite     uint16
	suiteName string
}

func newEncoder() *encoder {
	return &encoder{utc: stamp{in: time.UTC}, local: stamp{in: time.Local}} //nolint:gosmopolitan // StartLocal
}

// encode returns r's line, valid until the next one.
func (e *encoder) encode(p *plan, r *Record) []byte {
	e.queries = &p.queries
	if p.common {
		e.line = p.appendCommon(e, e.line[:0], r)
	} else {
		e.line = p.appendJSON(e, e.line[:0], r)
	}
	return e.line
}

// appendJSON appends a line of JSON. What it begins with is what the log
// library of Traefik 1.7 adds to each line.
func (p *plan) appendJSON(e *encoder, dst []byte, r *Record) []byte {
	dst = append(dst, `{"level":"info","msg":"","time":"`...)
	dst = append(e.local.appendTime(dst, r.Start.Add(r.Duration)), '"')
	for i := range p.columns {
		c := &p.columns[i]
		before := len(dst)
		dst = append(dst, c.key...)
		begun := len(dst)
		if dst = c.value(e, dst, r); len(dst) == begun {
			dst = dst[:before]
		}
	}
	for i := range p.headers {
		h := &p.headers[i]
		dst = p.appendHeaders(e, dst, h.prefix, h.of(r))
	}
	return append(dst, "}\n"...)
}

// appendHeaders appends the first field of each name that is kept.
func (p *plan) appendHeaders(e *encoder, dst []byte, prefix string, fields []Field) []byte {
	for i, f := range fields {
		e.scratch = appendLower(e.scratch[:0], f.Name)
		mode := p.mode(e.scratch)
		if mode == Drop || named(fields[:i], e.scratch) {
			continue
		}
		dst = append(appendCanonical(append(dst, prefix...), f.Name), `":`...)
		switch {
		case mode == Redact:
			dst = append(dst, `"`+redacted+`"`...)
		case slices.Contains(withURL, string(e.scratch)):
			e.scratch = p.queries.appendURL(e.scratch[:0], f.Value)
			dst = appendQuoted(dst, e.scratch)
		default:
			dst = appendQuoted(dst, f.Value)
		}
	}
	return dst
}

// withURL are the header fields whose value is a URL.
var withURL = []string{"referer", "location", "content-location"}

// named reports whether one of fields has the name, which is in lower case.
func named(fields []Field, name []byte) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return equalLower(f.Name, name) })
}

func equalLower(b, lower []byte) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if toLower(c) != lower[i] {
			return false
		}
	}
	return true
}

func appendLower(dst, name []byte) []byte {
	for _, c := range name {
		dst = append(dst, toLower(c))
	}
	return dst
}

// appendCanonical appends a name as net/http writes it: User-Agent. A name is
// a token, so nothing of it needs an escape.
func appendCanonical(dst, name []byte) []byte {
	upper := true
	for _, c := range name {
		c = toLower(c)
		if upper && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
		upper = c == '-'
	}
	return dst
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// quoted appends the pieces as one JSON string.
func (e *encoder) quoted(dst []byte, pieces ...string) []byte {
	e.scratch = e.scratch[:0]
	for _, p := range pieces {
		e.scratch = append(e.scratch, p...)
	}
	return appendQuoted(dst, e.scratch)
}

// quotedPath appends what the request asked for.
func (e *encoder) quotedPath(dst []byte, r *Record) []byte {
	e.scratch = e.queries.Append(append(e.scratch[:0], r.Path...), r.Query)
	return appendQuoted(dst, e.scratch)
}

// appendCommon appends a line of the common log format as Traefik 1.7 extends
// it: referrer, user agent, number, frontend, backend, milliseconds. A dropped
// field is "-".
func (p *plan) appendCommon(e *encoder, dst []byte, r *Record) []byte {
	has := func(name string) bool { return !p.dropped[name] }
	dst = p.orDash(dst, has("ClientHost"), func(dst []byte) []byte { return r.client().AppendTo(dst) })
	dst = append(dst, " - "...)
	dst = p.orDash(dst, has("ClientUsername"), func(dst []byte) []byte { return appendEscaped(dst, r.User) })
	dst = append(dst, " ["...)
	dst = p.orDash(dst, has("StartUTC") || has("StartLocal"), func(dst []byte) []byte {
		return r.Start.AppendFormat(dst, "02/Jan/2006:15:04:05 -0700")
	})
	dst = append(dst, `] "`...)
	dst = p.orDash(dst, has("RequestMethod") && has("RequestPath") && has("RequestLine"), func(dst []byte) []byte {
		return appendEscaped(dst, r.requestLine(e))
	})
	dst = append(dst, `" `...)
	dst = p.orDash(dst, has("DownstreamStatus"), func(dst []byte) []byte { return strconv.AppendInt(dst, int64(r.status()), 10) })
	dst = append(dst, ' ')
	dst = p.orDash(dst, has("DownstreamContentSize"), func(dst []byte) []byte { return strconv.AppendInt(dst, r.Size, 10) })
	for _, name := range []string{"referer", "user-agent"} {
		dst = p.orDash(append(dst, ` "`...), true, func(dst []byte) []byte { return p.appendField(e, dst, r.Request, name) })
		dst = append(dst, '"')
	}
	dst = p.orDash(append(dst, ' '), has("RequestCount"), func(dst []byte) []byte { return strconv.AppendUint(dst, e.count, 10) })
	dst = append(dst, ` "`...)
	dst = p.orDash(dst, has("FrontendName"), func(dst []byte) []byte {
		if r.Route == nil {
			return dst
		}
		return appendEscaped(appendEscaped(dst, r.Route.Host), r.Route.Path)
	})
	dst = append(dst, `" "`...)
	dst = p.orDash(dst, has("BackendURL"), func(dst []byte) []byte {
		if !r.Endpoint.IsValid() {
			return dst
		}
		return r.appendBackendURL(dst)
	})
	dst = append(dst, `" `...)
	dst = p.orDash(dst, has("Duration"), func(dst []byte) []byte {
		return append(strconv.AppendInt(dst, r.Duration.Milliseconds(), 10), "ms"...)
	})
	return append(dst, '\n')
}

// orDash appends what write does, or "-" where that is nothing.
func (p *plan) orDash(dst []byte, has bool, write func([]byte) []byte) []byte {
	before := len(dst)
	if has {
		dst = write(dst)
	}
	if len(dst) == before {
		dst = append(dst, '-')
	}
	return dst
}

// appendField appends the field of a name, as far as it is kept.
func (p *plan) appendField(e *encoder, dst []byte, fields []Field, name string) []byte {
	for _, f := range fields {
		if !equalLower(f.Name, []byte(name)) {
			continue
		}
		switch p.mode([]byte(name)) {
		case Keep:
			if name == "referer" {
				e.scratch = p.queries.appendURL(e.scratch[:0], f.Value)
				return appendEscaped(dst, e.scratch)
			}
			return appendEscaped(dst, f.Value)
		case Redact:
			return append(dst, redacted...)
		}
		break
	}
	return dst
}
