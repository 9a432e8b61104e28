package accesslog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/value"
)

// A QuerySection says what of the queries of URLs is written.
type QuerySection struct {
	Default string   `toml:"default"`
	Keep    []string `toml:"keep"`
	Redact  []string `toml:"redact"`
}

// Queries are what becomes of the parameters in the queries of URLs, that of the
// request and those in Referer and Location: who reads a log must not be able to
// do what a link is for.
type Queries struct {
	// Modes says so of a parameter by its name in lower case, Others of all
	// others; where Others is Drop, no query is written at all, and where it is
	// Keep, parameters that look like credentials are redacted.
	Modes  map[string]Mode
	Others Mode
}

func (s QuerySection) parse(p value.Parser) Queries {
	q := Queries{Others: []Mode{Keep, Drop, Redact}[max(0, p.Choice(s.Default, "default", []string{"keep", "drop", "redact"}))]}
	for _, l := range []struct {
		key   string
		names []string
		mode  Mode
	}{{"keep", s.Keep, Keep}, {"redact", s.Redact, Redact}} {
		for i, name := range l.names {
			key := fmt.Sprintf("%s[%d]", l.key, i)
			if name == "" || strings.ContainsAny(name, "?&;=# ") {
				p.Bad(key, fmt.Sprintf(`%q is no name of a parameter: want one such as "access_token"`, name))
			}
			if q.Others == Drop {
				p.Bad(key, `stands beside default = "drop", by which no query is written`)
			}
			name = strings.ToLower(name)
			if mode, ok := q.Modes[name]; ok && mode != l.mode {
				p.Bad(key, fmt.Sprintf("%q stands in the other list as well: leave it in one", name))
			}
			if q.Modes == nil {
				q.Modes = make(map[string]Mode)
			}
			q.Modes[name] = l.mode
		}
	}
	return q
}

// redacted stands in the place of a value.
const redacted = "REDACTED"

// Append appends a query, with or without what separates it from a path: "?a=b".
func (q *Queries) Append(dst, query []byte) []byte {
	if q.Others == Drop {
		return dst
	}
	if len(query) > 0 && (query[0] == '?' || query[0] == '#') {
		dst, query = append(dst, query[0]), query[1:]
	}
	for len(query) > 0 {
		// A value may be a URL with a query of its own.
		pair, end := query, bytes.IndexAny(query, "&;?")
		if end >= 0 {
			pair = query[:end+1]
		}
		query = query[len(pair):]
		name, _, ok := bytes.Cut(pair, []byte("="))
		if !ok || q.mode(name) == Keep {
			dst = append(dst, pair...)
			continue
		}
		dst = append(append(append(dst, name...), '='), redacted...)
		if end >= 0 {
			dst = append(dst, pair[end])
		}
	}
	return dst
}

// appendURL appends a URL, whose user, query and fragment may hold credentials.
func (q *Queries) appendURL(dst, url []byte) []byte {
	if user, host, ok := cutUser(url); ok {
		dst, url = append(append(dst, user...), redacted...), host
	}
	for len(url) > 0 {
		n := bytes.IndexAny(url[1:], "?#") + 1
		if n == 0 {
			n = len(url)
		}
		if url[0] == '?' || url[0] == '#' {
			dst = q.Append(dst, url[:n])
		} else {
			dst = append(dst, url[:n]...)
		}
		url = url[n:]
	}
	return dst
}

// cutUser splits a URL that names a user (RFC 3986, section 3.2.1) around that.
func cutUser(url []byte) (before, after []byte, ok bool) {
	begin := bytes.Index(url, []byte("//"))
	if begin < 0 || bytes.ContainsAny(url[:begin], "/?#") {
		return nil, nil, false
	}
	begin += 2
	authority := url[begin:]
	if end := bytes.IndexAny(authority, "/?#"); end >= 0 {
		authority = authority[:end]
	}
	at := bytes.LastIndexByte(authority, '@')
	return url[:begin], url[begin+max(at, 0):], at >= 0
}

// mode is what becomes of the value of a parameter, whose name may have been
// encoded: a server decodes it.
func (q *Queries) mode(name []byte) Mode {
	var room [64]byte
	plain := appendDecoded(room[:0], name)
	if m, ok := q.Modes[string(plain)]; ok {
		return m
	}
	if q.Others == Keep && (credential(plain) || slices.Contains(secretParameters, string(plain))) {
		return Redact
	}
	return q.Others
}

// secretParameters are names of credentials in URLs beside those that have a part
// which says so: of signed links, of those who write short, and the code of OAuth
// (RFC 6749, section 4.1.2), that a client may not have used up yet.
var secretParameters = []string{"code", "sig", "auth", "pass", "pwd", "key", "hmac", "assertion", "saml", "samlresponse", "awsaccesskeyid", "otp", "pin"}

// appendDecoded appends a name in lower case without its escapes.
func appendDecoded(dst, name []byte) []byte {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '%' && i+2 < len(name) {
			high, low := unhex(name[i+1]), unhex(name[i+2])
			if high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		dst = append(dst, toLower(c))
	}
	return dst
}

// unhex returns the value of a hexadecimal digit, below 0 for none.
func unhex(c byte) int { return strings.IndexByte("0123456789abcdef", toLower(c)) }
