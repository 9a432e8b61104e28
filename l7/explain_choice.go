package l7

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/portico-lb/portico/l7/route"
)

// choose returns where requests of a route with such a header go.
func choose(s *route.Spec, header http.Header) []BackendChoice {
	var shares []BackendChoice
	rest := 1.0
	for _, c := range s.Choices {
		if c.Header == "" && c.Cookie == "" {
			shares = append(shares, BackendChoice{Backend: c.Backend, Share: c.Share})
			rest -= c.Share
			continue
		}
		if because := takes(c, header); because != "" {
			to := c.Backend
			if c.Never {
				to = s.Backend
			}
			return []BackendChoice{{Backend: to, Share: 1, Because: because}}
		}
	}
	if rest > 1e-9 || len(shares) == 0 {
		shares = slices.Insert(shares, 0, BackendChoice{Backend: s.Backend, Share: max(rest, 0)})
	}
	return shares
}

// takes says by what c takes a request with such a header, "" where it does
// not.
func takes(c route.Choice, header http.Header) string {
	fits := func(value string) bool {
		if c.Pattern == "" {
			return value == c.Value
		}
		ok, err := regexp.MatchString("^(?:"+c.Pattern+")$", value)
		return err == nil && ok
	}
	if c.Header != "" && slices.ContainsFunc(header.Values(c.Header), fits) {
		return "header " + c.Header
	}
	if c.Cookie != "" {
		r := http.Request{Header: header}
		if cookie, err := r.Cookie(c.Cookie); err == nil && fits(cookie.Value) {
			return "cookie " + c.Cookie
		}
	}
	return ""
}
