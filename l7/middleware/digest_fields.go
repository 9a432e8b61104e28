package middleware

import (
	"net/url"
	"strconv"
	"strings"
)

// digestCredentials are the parameters of an Authorization field of Digest (RFC
// 7616, section 3.4).
type digestCredentials struct {
	user, realm, nonce, uri, response, algorithm, cnonce, nc, qop string
	count                                                         uint32 // nc as a number
}

// parseDigest reads an Authorization field. It refuses one that says something
// twice, or leaves out what qop=auth needs.
func parseDigest(value string) (c digestCredentials, ok bool) {
	scheme, rest, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Digest") {
		return c, false
	}
	params, ok := parameters(rest)
	if !ok {
		return c, false
	}
	c = digestCredentials{
		user: params["username"], realm: params["realm"], nonce: params["nonce"], uri: params["uri"], response: params["response"],
		algorithm: params["algorithm"], cnonce: params["cnonce"], nc: params["nc"], qop: params["qop"],
	}
	if ext, has := params["username*"]; has {
		// RFC 8187; the only charset that there is.
		charset, encoded, _ := strings.Cut(ext, "''")
		name, err := url.PathUnescape(encoded)
		if err != nil || c.user != "" || !strings.EqualFold(charset, "UTF-8") {
			return c, false
		}
		c.user = name
	}
	n, err := strconv.ParseUint(c.nc, 16, 32)
	c.count = uint32(n)
	return c, err == nil && len(c.nc) == 8 && c.user != "" && c.cnonce != "" && params["userhash"] != "true"
}

// parameters reads auth-params (RFC 9110, section 11.2), names in lower case.
func parameters(s string) (map[string]string, bool) {
	out := map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return out, true
		}
		name, rest, ok := strings.Cut(s, "=")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		if _, twice := out[name]; !ok || twice || name == "" || strings.ContainsAny(name, " \t\",") {
			return nil, false
		}
		rest = strings.TrimLeft(rest, " \t")
		if out[name], s, ok = parameter(rest); !ok {
			return nil, false
		}
	}
}

// parameter reads one value, a token or a quoted-string, and what follows it
// and its comma.
func parameter(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		value = strings.TrimRight(value, " \t")
		return value, rest, value != "" && !strings.ContainsAny(value, " \t\"")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			rest = strings.TrimLeft(s[i+1:], " \t")
			return b.String(), rest, rest == "" || rest[0] == ','
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
