package health

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Where the answer to a check says how much of its weight the server wants;
// fromHeader is followed by the field's name.
const (
	fromBody   = "body"    // HTTP, HTTPS
	fromHeader = "header:" // HTTP, HTTPS
	fromOutput = "output"  // Exec
)

// whole is the percentage of a server that wants all of its weight.
const whole = 100

// An Answer is what an attempt that passed brought.
type Answer struct {
	// Percent of its weight is what the server wants, 0 to 100, or -1 where it
	// should have said so and did not.
	Percent int
	// Fault is why it is not known then.
	Fault string
}

// percentage reads what a server said: "75", or "75%", and more behind a
// blank.
func percentage(from, said string) Answer {
	word, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	word, _, _ = strings.Cut(word, " ")
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(word), "%"), 10, 8)
	if err != nil || n > whole {
		return Answer{-1, fmt.Sprintf("%.20q is no weight: write 0 to 100 percent into the %s", word, strings.Replace(from, ":", " ", 1))}
	}
	return Answer{Percent: int(n)}
}

// Weight is what remains of a weight: as much of it as the server wants. All
// but nothing is 1 at least.
func (s State) Weight(of int) int {
	if s.Percent == 0 || of == 0 {
		return 0
	}
	return max(1, of*s.Percent/whole)
}

// weightFrom parses where a check reads the server's weight.
func (p parser) weightFrom(s Section) string {
	from := s.WeightFrom
	name, header := strings.CutPrefix(from, fromHeader)
	switch {
	case from == "":
	case from == fromBody && s.Method == http.MethodHead:
		p.fault("weight_from", "cannot be: an answer to HEAD has no body")
	case p.kind == Exec:
		if from != fromOutput {
			p.fault("weight_from", "%q is unknown: a program says its weight on its output, write %q", from, fromOutput)
		}
	case header && httpguts.ValidHeaderFieldName(name):
		return fromHeader + http.CanonicalHeaderKey(name)
	case from != fromBody:
		p.fault("weight_from", "%q is unknown: allowed are %q, and %q with the name of a field", from, fromBody, fromHeader)
	}
	return from
}
