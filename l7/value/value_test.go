package value_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/value"
)

func TestParser(t *testing.T) {
	seven := 7
	for _, c := range []struct {
		name string
		read func(p value.Parser) any
		want string
	}{
		{"choice", func(p value.Parser) any { return p.Choice("b", "k", []string{"a", "b"}) }, "1"},
		{"no choice", func(p value.Parser) any { return p.Choice("", "k", []string{"a", "b"}) }, "-1"},
		{"wrong choice", func(p value.Parser) any { return p.Choice("c", "k", []string{"a", "b"}) },
			`-1, t.k: "c" is not allowed: want one of a, b`},
		{"span", func(p value.Parser) any { return p.Span("2s", "k", 0, 0, time.Minute) }, "2s"},
		{"default span", func(p value.Parser) any { return p.Span("", "k", time.Second, 0, time.Minute) }, "1s"},
		{"long span", func(p value.Parser) any { return p.Span("1h", "k", time.Second, 0, time.Minute) },
			`1s, t.k: "1h" is no duration for this: allowed are 0s to 1m0s`},
		{"number", func(p value.Parser) any { return value.Number(p, &seven, "k", 1, 0, 7) }, "7"},
		{"large number", func(p value.Parser) any { return value.Number(p, &seven, "k", 1, 0, 6) },
			"1, t.k: 7 is out of range: allowed are 0 to 6"},
		{"size", func(p value.Parser) any { return p.Size("2 KiB", "k", 0, 0, 1<<20) }, "2048"},
		{"bare size", func(p value.Parser) any { return p.Size("2", "k", 0, 0, 1<<20) }, "2"},
		{"size of overflow", func(p value.Parser) any { return p.Size("9223372036854775807GiB", "k", 5, 0, 1<<20) },
			`5, t.k: "9223372036854775807GiB" is no size for this: allowed are 0 to 1MiB`},
		{"networks", func(p value.Parser) any {
			return p.Prefixes([]string{"10.1.2.3/8", "::1", "::ffff:192.0.2.1", "::ffff:10.0.0.0/104", "fe80::1%eth0"}, "k")
		}, "[10.0.0.0/8 ::1/128 192.0.2.1/32 10.0.0.0/8 fe80::1/128]"},
		{"no network", func(p value.Parser) any { return p.Prefixes([]string{"::1", "all"}, "k") },
			`[::1/128], t.k[1]: "all" is no address and no network: want one such as "10.0.0.0/8"`},
		{"expression", func(p value.Parser) any { return p.Regexp("^a+$", "k") }, "^a+$"},
		{"no expression", func(p value.Parser) any { return p.Regexp("a(", "k") },
			", t.k: \"a(\" is no regular expression: error parsing regexp: missing closing ): `a(`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var faults []string
			p := value.Parser{Bad: func(key, problem string) { faults = append(faults, ", "+key+": "+problem) }}
			if got := fmt.Sprint(c.read(p.In("t"))) + strings.Join(faults, ""); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestToken(t *testing.T) {
	for s, want := range map[string]bool{"": false, "a-B_9": true, "a b": false, "é": false} {
		if value.Token(s) != want {
			t.Errorf("%q: want %v", s, want)
		}
	}
}
