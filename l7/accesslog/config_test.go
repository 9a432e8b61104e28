package accesslog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/portico-lb/portico/l7/value"
)

func TestDefaults(t *testing.T) {
	want := Config{
		File: "/log", Headers: map[string]Mode{"user-agent": Keep, "referer": Keep}, Buffer: 4 << 20,
		Queries: Queries{Others: Keep},
		Rotate:  Rotate{Size: 100e6, Keep: 7, Suffix: ".gz"},
	}
	if diff := cmp.Diff(want, parse(t, "")); diff != "" {
		t.Error(diff)
	}
	if c := (*Section)(nil).Parse(value.Parser{}); c.File != "" {
		t.Errorf("without a section there is %+v", c)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"file = 'access.log'", `file: "access.log" is no absolute path: want one such as "/var/log/portico/access.log"`},
		{"format = 'json'", `file: missing: an access log needs one, such as "/var/log/portico/access.log"`},
		{"file = '/l'\nformat = 'clf'", `format: "clf" is not allowed: want one of json, common`},
		{"file = '/l'\nstatus_codes = ['200', '5xx', '500-400', '0']",
			`status_codes[1]: "5xx" is no range of status codes: want one such as "500-599" or "404"` + "\n" +
				`status_codes[2]: "500-400" is no range of status codes: want one such as "500-599" or "404"` + "\n" +
				`status_codes[3]: "0" is no range of status codes: want one such as "500-599" or "404"`},
		{"file = '/l'\nmin_duration = '2h'", `min_duration: "2h" is no duration for this: allowed are 0s to 1h0m0s`},
		{"file = '/l'\nheaders.keep = ['User Agent']", `headers.keep[0]: "User Agent" is no name of a header field: want one such as "User-Agent"`},
		{"file = '/l'\nheaders.keep = ['Accept', 'Host']\nheaders.redact = ['accept']", `headers.redact[0]: "accept" stands in another of these lists: leave it in one`},
		{"file = '/l'\nquery = { keep = ['a b'], redact = ['B', 'b'] }", `query.keep[0]: "a b" is no name of a parameter: want one such as "access_token"`},
		{"file = '/l'\nquery = { keep = ['a'], redact = ['A'] }", `query.redact[0]: "a" stands in the other list as well: leave it in one`},
		{"file = '/l'\nquery = { default = 'drop', keep = ['a'] }", `query.keep[0]: stands beside default = "drop", by which no query is written`},
		{"file = '/l'\nrotate = { size = '1KB' }", `rotate.size: "1KB" would fill the folder with files: want 4KiB or more, or 0 for any length`},
		{"file = '/l'\nbuffer = '1KB'", `buffer: "1KB" is no size for this: allowed are 64KiB to 1GiB`},
		{"file = '/l'\nrotate = { keep = -1, compress = false, compression = 'gzip' }",
			"rotate.keep: -1 is out of range: allowed are 0 to 10000\nrotate.compression: stands beside compress = false"},
	} {
		var s Section
		if err := toml.Unmarshal([]byte(c.in), &s); err != nil {
			t.Fatal(err)
		}
		var got []string
		s.Parse(value.Parser{Bad: func(key, problem string) { got = append(got, key+": "+problem) }})
		if text := strings.Join(got, "\n"); text != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.in, text, c.want)
		}
	}
	var got string
	FieldsSection{Drop: []string{"Clienthost"}}.parse(value.Parser{Bad: func(_, problem string) { got = problem }})
	if want := `"Clienthost" is no field: allowed are StartUTC, `; !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
}

func TestFieldsByDefaultDropped(t *testing.T) {
	c := parse(t, "fields = { default = 'drop', keep = ['RequestPath', 'DownstreamStatus'], drop = ['DownstreamStatus'] }")
	p := newPlan(c)
	if got := fmt.Sprint(len(p.columns), p.columns[0].key); got != `1,"RequestPath":` {
		t.Errorf("got %s", got)
	}
}

func TestTrace(t *testing.T) {
	tr := Trace{ID: [16]byte{1, 15: 0xAB}, Span: [8]byte{7: 9}, Sampled: true}
	if got := string(tr.AppendParent(nil)); got != "00-010000000000000000000000000000ab-0000000000000009-01" {
		t.Errorf("got %s", got)
	}
	if tr.Valid() != true || (&Trace{Span: tr.Span}).Valid() {
		t.Error("validity")
	}
	var r Record
	r.Duration, r.Request = time.Second, []Field{{}}
	if r.Reset(); r.Duration != 0 || len(r.Request) != 0 || cap(r.Request) != 1 {
		t.Errorf("reset leaves %+v", r)
	}
}
