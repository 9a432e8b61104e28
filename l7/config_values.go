package l7

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A parser reads the values of a section. An empty one is the default.
type parser struct {
	readFile func(string) ([]byte, error)
	bad      func(key, problem string)
}

func (p parser) choice(s, key string, allowed []string) int {
	i := slices.Index(allowed, s)
	if i < 0 && s != "" {
		p.bad(key, fmt.Sprintf("%q is not allowed: want one of %s", s, strings.Join(allowed, ", ")))
	}
	return i
}

func (p parser) span(s, key string, otherwise, least, most time.Duration) time.Duration {
	if s == "" {
		return otherwise
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		p.bad(key, fmt.Sprintf("%q is no duration for this: allowed are %v to %v", s, least, most))
		return otherwise
	}
	return d
}

func number[T int | float64](p parser, n *T, key string, otherwise, least, most T) T {
	if n == nil {
		return otherwise
	}
	if *n < least || *n > most {
		p.bad(key, fmt.Sprintf("%v is out of range: allowed are %v to %v", *n, least, most))
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

// size parses a number of bytes.
func (p parser) size(s, key string, otherwise, least, most int64) int64 {
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
	p.bad(key, fmt.Sprintf("%q is no size for this: allowed are %s to %s", s, bytes(least), bytes(most)))
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
