package track

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/health/command"
)

// A Section is one table of a track list as the operator writes it. Exactly
// one of Interface, File, Command and L7 says what to look at.
type Section struct {
	Interface string   `toml:"interface"`
	File      string   `toml:"file"`
	Command   []string `toml:"command"`
	L7        bool     `toml:"l7"`
	User      string   `toml:"user"`
	Interval  string   `toml:"interval"`
	Timeout   string   `toml:"timeout"`
	Hold      string   `toml:"hold"`
	Fall      *int     `toml:"fall"`
	Rise      *int     `toml:"rise"`
	Weight    *int     `toml:"weight"`
}

// Parse returns what the sections mean. key is the list's path in the file;
// bad is told of every fault.
func Parse(ss []Section, key string, bad func(key, problem string)) []Rule {
	var rules []Rule
	for i, s := range ss {
		p := parser{key: fmt.Sprintf("%s[%d]", key, i), bad: bad}
		r := p.rule(s)
		if r.Kind != "" && slices.ContainsFunc(rules, func(o Rule) bool { return o.about(r.Watch) }) {
			bad(p.key, fmt.Sprintf("%s is tracked by an earlier rule of the list: one is enough", r.Watch))
		}
		rules = append(rules, r)
	}
	return rules
}

// parser carries what every field of a Section needs.
type parser struct {
	key string
	bad func(key, problem string)
}

func (p parser) fault(field, format string, args ...any) {
	p.bad(p.key+"."+field, fmt.Sprintf(format, args...))
}

func (p parser) rule(s Section) Rule {
	r := Rule{Weight: p.weight(s.Weight)}
	var kinds []Kind
	for _, k := range []struct {
		kind  Kind
		given bool
	}{{Interface, s.Interface != ""}, {File, s.File != ""}, {Command, len(s.Command) > 0}, {L7, s.L7}} {
		if k.given {
			kinds = append(kinds, k.kind)
		}
	}
	if len(kinds) != 1 {
		p.bad(p.key, fmt.Sprintf("%d of interface, file, command and l7 are given: a rule tracks exactly one of them", len(kinds)))
		return r
	}
	r.Kind = kinds[0]
	p.foreign(s, r.Kind)
	switch r.Kind {
	case Interface:
		r.Subject = p.name(s.Interface)
		r.Hold = p.duration("hold", s.Hold, 3*time.Second, 0, 10*time.Minute)
	case File:
		r.Subject = p.path("file", s.File)
		r.Interval = p.duration("interval", s.Interval, time.Second, 100*time.Millisecond, time.Hour)
	case Command:
		r.Subject, r.User = strings.Join(s.Command, "\x00"), s.User
		p.check("command", command.Check(s.Command))
		p.check("user", command.CheckUser(s.User))
		p.attempts(s, &r.Watch, 5*time.Second)
	case L7:
		p.attempts(s, &r.Watch, time.Second)
	}
	return r
}

// foreign reports keys that mean nothing to the kind.
func (p parser) foreign(s Section, kind Kind) {
	for _, f := range []struct {
		name  string
		given bool
		kinds []Kind
	}{
		{"user", s.User != "", []Kind{Command}},
		{"interval", s.Interval != "", []Kind{File, Command, L7}},
		{"timeout", s.Timeout != "", []Kind{Command, L7}},
		{"hold", s.Hold != "", []Kind{Interface}},
		{"fall", s.Fall != nil, []Kind{Command, L7}},
		{"rise", s.Rise != nil, []Kind{Command, L7}},
	} {
		if f.given && !slices.Contains(f.kinds, kind) {
			p.fault(f.name, "means nothing to a rule of kind %s: remove it", kind)
		}
	}
}

// weight returns 0 where none is given.
func (p parser) weight(n *int) int {
	switch {
	case n == nil:
		return 0
	case *n == 0:
		p.fault("weight", "0 has no effect: leave it out to make a failure a fault, or give -%d to -1 or 1 to %d", maxWeight, maxWeight)
	case *n < -maxWeight || *n > maxWeight:
		p.fault("weight", "%d is out of range: allowed are -%d to -1 and 1 to %d", *n, maxWeight, maxWeight)
	default:
		return *n
	}
	return 0
}

func (p parser) name(s string) string {
	if len(s) > 15 || strings.ContainsAny(s, "/ \t\n") || s == "." || s == ".." {
		p.fault("interface", "%q cannot be the name of a network interface: allowed are up to 15 characters without slash and space", s)
	}
	return s
}

func (p parser) path(field, s string) string {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
		p.fault(field, "%q is no absolute path: write one that starts with /", s)
	}
	return s
}

// attempts reads what is common to commands and L7.
func (p parser) attempts(s Section, w *Watch, interval time.Duration) {
	w.Interval = p.duration("interval", s.Interval, interval, 100*time.Millisecond, time.Hour)
	// An attempt ends before the next begins.
	w.Timeout = p.duration("timeout", s.Timeout, min(interval, w.Interval), 10*time.Millisecond, w.Interval)
	w.Fall = p.number("fall", s.Fall, 3, 1, 100)
	w.Rise = p.number("rise", s.Rise, 2, 1, 100)
}

// check faults what err says.
func (p parser) check(field string, err error) {
	if err != nil {
		p.fault(field, "%v", err)
	}
}

func (p parser) duration(field, s string, otherwise, low, high time.Duration) time.Duration {
	if s == "" {
		return otherwise
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		p.fault(field, `%q is not a duration: write one like "2s" or "500ms"`, s)
	case d < low || d > high:
		p.fault(field, "%s is out of range: allowed are %s to %s", d, low, high)
	default:
		return d
	}
	return otherwise
}

func (p parser) number(field string, n *int, otherwise, low, high int) int {
	if n == nil {
		return otherwise
	}
	if *n < low || *n > high {
		p.fault(field, "%d is out of range: allowed are %d to %d", *n, low, high)
		return otherwise
	}
	return *n
}
