// Package value checks the values that an operator writes in portico.toml: how
// long, how much, which of several. What is wrong is told with its key, what is
// allowed, and never stops the check of what stands beside it.
package value

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Parser reads the values of a section of the configuration. An empty value
// is the default.
type Parser struct {
	// ReadFile reads a file that the configuration names.
	ReadFile func(path string) ([]byte, error)
	// Bad is told of every fault, with the key it stands at.
	Bad func(key, problem string)
}

// In returns a Parser for the table at key: what it tells of begins with that.
func (p Parser) In(key string) Parser {
	return Parser{p.ReadFile, func(k, problem string) {
		if k == "" {
			p.Bad(key, problem)
			return
		}
		p.Bad(key+"."+k, problem)
	}}
}

// Choice returns the index of s among allowed, -1 where s is empty or wrong.
func (p Parser) Choice(s, key string, allowed []string) int {
	i := slices.Index(allowed, s)
	if i < 0 && s != "" {
		p.Bad(key, fmt.Sprintf("%q is not allowed: want one of %s", s, strings.Join(allowed, ", ")))
	}
	return i
}

// Span parses a duration, "1m30s".
func (p Parser) Span(s, key string, otherwise, least, most time.Duration) time.Duration {
	if s == "" {
		return otherwise
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		p.Bad(key, fmt.Sprintf("%q is no duration for this: allowed are %v to %v", s, least, most))
		return otherwise
	}
	return d
}

// Number checks a number's range.
func Number[T int | float64](p Parser, n *T, key string, otherwise, least, most T) T {
	if n == nil {
		return otherwise
	}
	if *n < least || *n > most {
		p.Bad(key, fmt.Sprintf("%v is out of range: allowed are %v to %v", *n, least, most))
		return otherwise
	}
	return *n
}

// units are those of sizes, in powers of 1024 as memory has them and of 1000
// as the wire does.
var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// Size parses a number of bytes, "10MiB".
func (p Parser) Size(s, key string, otherwise, least, most int64) int64 {
	if s == "" {
		return otherwise
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > most/u.bytes || n*u.bytes < least {
			break
		}
		return n * u.bytes
	}
	p.Bad(key, fmt.Sprintf("%q is no size for this: allowed are %s to %s", s, bytes(least), bytes(most)))
	return otherwise
}

// bytes writes a size with the largest unit that is exact.
func bytes(n int64) string {
	for _, u := range []int{2, 1, 0} {
		if n >= units[u].bytes && n%units[u].bytes == 0 {
			return fmt.Sprintf("%d%s", n/units[u].bytes, units[u].name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// Prefixes parses networks; an address is one of itself.
func (p Parser) Prefixes(list []string, key string) []netip.Prefix {
	var out []netip.Prefix
	for i, s := range list {
		n, err := Prefix(s)
		if err != nil {
			p.Bad(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is no address and no network: want one such as \"10.0.0.0/8\"", s))
			continue
		}
		out = append(out, n)
	}
	return out
}

// Prefix parses a network, or an address as the network of itself. What stands
// in the bits beyond a network's length is dropped.
func Prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.WithZone("").Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), err
}

// Regexp checks a regular expression of package regexp, and returns it as it is.
func (p Parser) Regexp(s, key string) string {
	if _, err := regexp.Compile(s); err != nil {
		p.Bad(key, fmt.Sprintf("%q is no regular expression: %v", s, err))
		return ""
	}
	return s
}

// Token reports whether s is a name in letters, digits, hyphens and
// underscores.
func Token(s string) bool {
	return s != "" && strings.Trim(s, "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
