package l7

import (
	"fmt"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/value"
)

// parseMiddlewares checks [[l7.middleware]], which stand beside routes.
func parseMiddlewares(sections []middleware.Section, routes []RouteSection, p value.Parser) map[string]middleware.Step {
	steps := make(map[string]middleware.Step, len(sections))
	for i := range sections {
		s := &sections[i]
		in := p.In(fmt.Sprintf("middleware[%d]", i))
		step := s.Parse(in)
		checkMirror(step, routes, in.In("mirror"))
		switch _, taken := steps[s.Name]; {
		case s.Name == "":
			in.Bad("name", "missing: routes use a middleware by its name")
		case !value.Token(s.Name):
			in.Bad("name", fmt.Sprintf("%q is no name: want letters, digits, - and _", s.Name))
		case taken:
			in.Bad("name", fmt.Sprintf("%q is taken by another middleware: names must differ", s.Name))
		case step != nil:
			steps[s.Name] = step
		}
	}
	return steps
}
