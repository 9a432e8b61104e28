package l7

import (
	"fmt"
	"slices"

	"github.com/portico-lb/portico/l7/proxy"
)

// parseRedirects finds the entrypoints that others of c lead to.
func (c *Config) parseRedirects(s []EntrypointSection, bad func(key, problem string)) {
	for i := range c.Entrypoints {
		to := s[i].RedirectTo
		if to == "" {
			continue
		}
		key := fmt.Sprintf("l7.entrypoint[%d].redirect_to", i)
		n := slices.IndexFunc(c.Entrypoints, func(e Entrypoint) bool { return e.Name == to })
		switch {
		case n == i:
			bad(key, "is the entrypoint itself: name another one")
		case n < 0:
			bad(key, fmt.Sprintf("%q is no entrypoint: name one of [[l7.entrypoint]]", to))
		case s[n].RedirectTo != "":
			bad(key, fmt.Sprintf("%q redirects too: name one that serves", to))
		default:
			target := c.Entrypoints[n].named()
			c.Entrypoints[i].Redirect = proxy.Redirect{Scheme: target.Scheme, Port: target.Port}
		}
	}
}
