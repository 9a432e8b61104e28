package middleware

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A condition is an expression of a CircuitBreaker, and what it needs to be
// counted.
type condition struct {
	holds func(*tally) bool
	// codes are the ranges of statuses whose responses are counted, in the
	// order in which the expression asks for them, the upper end not within.
	codes   [][2]int
	latency bool
}

// CheckExpression tells what is wrong with an expression of a CircuitBreaker.
func CheckExpression(s string) error {
	_, err := parseCondition(s)
	return err
}

const (
	mostExpression = 1024 // bytes
	mostDepth      = 32   // of parentheses and negations
)

// parseCondition reads an expression:
//
//	or      = and { ("||" | "OR") and }
//	and     = not { ("&&" | "AND") not }
//	not     = ("!" | "NOT") not | "(" or ")" | measure compare measure
//	measure = number | name "(" [ number { "," number } ] ")"
func parseCondition(s string) (*condition, error) {
	if len(s) > mostExpression {
		return nil, fmt.Errorf("longer than %d bytes", mostExpression)
	}
	p := &exprParser{tokens: scanExpression(s), out: &condition{}}
	holds, err := p.or()
	if err == nil && p.next() != "" {
		err = p.wrong("the end, AND or OR")
	}
	if err != nil {
		return nil, err
	}
	p.out.holds = holds
	return p.out, nil
}

// scanExpression splits an expression; what is no token is one of a byte.
func scanExpression(s string) (tokens []string) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			return tokens
		}
		n := len(s) - len(strings.TrimLeft(s, letters))
		if n == 0 {
			n = len(s) - len(strings.TrimLeft(s, "0123456789."))
		}
		if n == 0 {
			n = 1
			if len(s) > 1 {
				switch s[:2] {
				case "&&", "||", ">=", "<=", "==", "!=":
					n = 2
				}
			}
		}
		tokens = append(tokens, s[:n])
		s = s[n:]
	}
}

type exprParser struct {
	tokens []string
	at     int
	depth  int
	out    *condition
}

type (
	truth   = func(*tally) bool
	measure = func(*tally) float64
)

// next is the token that comes, "" at the end.
func (p *exprParser) next() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

// take steps over the next token if it is one of those.
func (p *exprParser) take(tokens ...string) bool {
	for _, t := range tokens {
		if p.next() == t {
			p.at++
			return true
		}
	}
	return false
}

func (p *exprParser) wrong(want string) error {
	if p.next() == "" {
		return fmt.Errorf("ends where %s is wanted", want)
	}
	return fmt.Errorf("%q stands where %s is wanted", strings.Join(p.tokens[p.at:], " "), want)
}

func (p *exprParser) or() (truth, error) {
	left, err := p.and()
	for err == nil && p.take("||", "OR", "or") {
		a := left
		var b truth
		b, err = p.and()
		left = func(t *tally) bool { return a(t) || b(t) }
	}
	return left, err
}

func (p *exprParser) and() (truth, error) {
	left, err := p.not()
	for err == nil && p.take("&&", "AND", "and") {
		a := left
		var b truth
		b, err = p.not()
		left = func(t *tally) bool { return a(t) && b(t) }
	}
	return left, err
}

func (p *exprParser) not() (truth, error) {
	if p.depth++; p.depth > mostDepth {
		return nil, errors.New("more parentheses and negations within each other than anybody can read")
	}
	defer func() { p.depth-- }()
	switch {
	case p.take("!", "NOT", "not"):
		a, err := p.not()
		return func(t *tally) bool { return !a(t) }, err
	case p.take("("):
		a, err := p.or()
		if err == nil && !p.take(")") {
			err = p.wrong(`")"`)
		}
		return a, err
	}
	return p.comparison()
}

func (p *exprParser) comparison() (truth, error) {
	a, err := p.measure()
	if err != nil {
		return nil, err
	}
	compare := comparison(p.next())
	if compare == nil {
		return nil, p.wrong("one of > >= < <= == !=")
	}
	p.at++
	b, err := p.measure()
	return func(t *tally) bool { return compare(a(t), b(t)) }, err
}

func comparison(name string) func(a, b float64) bool {
	switch name {
	case ">", "GT":
		return func(a, b float64) bool { return a > b }
	case ">=", "GE":
		return func(a, b float64) bool { return a >= b }
	case "<", "LT":
		return func(a, b float64) bool { return a < b }
	case "<=", "LE":
		return func(a, b float64) bool { return a <= b }
	case "==", "EQ":
		return func(a, b float64) bool { return a == b }
	case "!=", "NEQ":
		return func(a, b float64) bool { return a != b }
	}
	return nil
}

// measure reads a number, or something that is measured.
func (p *exprParser) measure() (measure, error) {
	if n, err := strconv.ParseFloat(p.next(), 64); err == nil && p.next()[0] <= '9' {
		p.at++
		return func(*tally) float64 { return n }, nil
	}
	name := p.next()
	want, ok := map[string]int{"NetworkErrorRatio": 0, "ResponseCodeRatio": 4, "LatencyAtQuantileMS": 1}[name]
	if !ok {
		return nil, p.wrong("NetworkErrorRatio(), ResponseCodeRatio(), LatencyAtQuantileMS() or a number")
	}
	p.at++
	args, err := p.arguments(name, want)
	if err != nil {
		return nil, err
	}
	switch name {
	case "ResponseCodeRatio":
		return p.codes(args)
	case "LatencyAtQuantileMS":
		if args[0] <= 0 || args[0] > 100 {
			return nil, fmt.Errorf("%s: %v is no quantile: want one above 0, up to 100", name, args[0])
		}
		p.out.latency = true
		return func(t *tally) float64 { return t.latency(args[0]) }, nil
	}
	return func(t *tally) float64 { return ratio(t.failed, t.total) }, nil
}

// arguments reads so many numbers in parentheses.
func (p *exprParser) arguments(name string, want int) (args []float64, err error) {
	if !p.take("(") {
		return nil, p.wrong(`"("`)
	}
	for !p.take(")") {
		if len(args) > 0 && !p.take(",") {
			return nil, p.wrong(`"," or ")"`)
		}
		n, err := strconv.ParseFloat(p.next(), 64)
		if err != nil || p.next()[0] > '9' {
			return nil, p.wrong("a number")
		}
		p.at++
		args = append(args, n)
	}
	if len(args) != want {
		return nil, fmt.Errorf("%s has %d arguments: want %d", name, len(args), want)
	}
	return args, nil
}

// codes is the ratio of responses with a status of one range to those of
// another.
func (p *exprParser) codes(args []float64) (measure, error) {
	for i := 0; i < len(args); i += 2 {
		from, to := int(args[i]), int(args[i+1])
		if args[i] != float64(from) || args[i+1] != float64(to) || from >= to || to > 1000 {
			return nil, fmt.Errorf("ResponseCodeRatio: %v, %v is no range of statuses: want such as 500, 600", args[i], args[i+1])
		}
		p.out.codes = append(p.out.codes, [2]int{from, to})
	}
	n := len(p.out.codes)
	return func(t *tally) float64 { return ratio(t.codes[n-2], t.codes[n-1]) }, nil
}

// ratio of nothing is 0: no condition is met because nobody came.
func ratio(part, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}
