package kube

import (
	"regexp"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/route"
)

// A nginxPlace is what a rule and its canary have in common.
type nginxPlace struct {
	host, written string
	match         route.Match
	implied       bool
}

func nginxPlaceOf(r rule) nginxPlace { return nginxPlace{r.Host, r.written, r.Match, r.implied} }

// A nginxMain is a rule that a canary may take requests of.
type nginxMain struct {
	spec   int // in the Result's Specs
	policy nginxPolicy
	taken  bool
}

// A nginxCanary is what a canary Ingress asks for.
type nginxCanary struct {
	choices []route.Choice // without their Backend
}

// A nginxCanaryRule is one path of a canary Ingress.
type nginxCanaryRule struct {
	rule
	nginxCanary
}

// nginxCanary reads canary-by-header before canary-by-cookie before
// canary-weight.
func (n notes) nginxCanary() nginxCanary {
	var c nginxCanary
	if header := n.text("canary-by-header"); header != "" {
		value, pattern := n.text("canary-by-header-value"), n.text("canary-by-header-pattern")
		_, err := regexp.Compile(pattern)
		switch {
		case !httpguts.ValidHeaderFieldName(header):
			n.bad("canary-by-header", "%q is no name of a field, none is looked at: correct it", header)
		case value != "":
			c.choices = append(c.choices, route.Choice{Header: header, Value: value})
		case pattern != "" && err != nil:
			n.bad("canary-by-header-pattern", "%v, no field is looked at: correct it", err)
		case pattern != "":
			c.choices = append(c.choices, route.Choice{Header: header, Pattern: "(?s:.*)(?:" + pattern + ")(?s:.*)"})
		default:
			c.choices = append(c.choices, route.Choice{Header: header, Value: "always"}, route.Choice{Header: header, Value: "never", Never: true})
		}
	}
	if cookie := n.text("canary-by-cookie"); cookie != "" {
		if httpguts.ValidHeaderFieldName(cookie) {
			c.choices = append(c.choices, route.Choice{Cookie: cookie, Value: "always"}, route.Choice{Cookie: cookie, Value: "never", Never: true})
		} else {
			n.bad("canary-by-cookie", "%q is no name of a cookie, none is looked at: correct it", cookie)
		}
	}
	total := max(100, n.number("canary-weight-total", 100, 1, 1<<31))
	if weight := n.number("canary-weight", 0, 0, total); weight > 0 {
		c.choices = append(c.choices, route.Choice{Share: float64(weight) / float64(total)})
	}
	return c
}

// join has a canary take its part of the requests of its main rule: that of the
// same host, path and type, of the same namespace, whose annotations count.
func (d *nginx) join(t *translation, c nginxCanaryRule) {
	place := nginxPlaceOf(c.rule)
	main := d.mains[place]
	switch {
	case main == nil:
		t.tell(c.Origin.String(), c.field, "there is no rule for %s%s of this type that it could be a canary of: add one in another Ingress, or remove %scanary", place.host, place.written, nginxPrefix)
		return
	case t.Specs[main.spec].Origin.Namespace != c.Origin.Namespace:
		t.tell(c.Origin.String(), c.field, "the rule for %s%s is of %s, and nothing is shared between namespaces: move one of the two", place.host, place.written, t.Specs[main.spec].Origin)
		return
	case main.taken:
		t.tell(c.Origin.String(), c.field, "the rule for %s%s has a canary already, and can have one: remove one of the two", place.host, place.written)
		return
	}
	s := &t.Specs[main.spec]
	main.taken = true
	if s.Backend == (route.Backend{}) || c.Backend == (route.Backend{}) {
		return // whoever cannot be served has been told of
	}
	b := main.policy.use(t, c.Backend)
	for _, choice := range c.choices {
		if !choice.Never {
			choice.Backend = b
		}
		s.Choices = append(s.Choices, choice)
	}
}
