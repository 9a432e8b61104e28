package accesslog

import (
	"bytes"
	"strings"
	"testing"
)

func TestQueries(t *testing.T) {
	for _, c := range []struct{ section, in, want string }{
		{"", "", ""},
		{"", "?", "?"},
		{"", "?a=b&c=d", "?a=b&c=d"},
		{"", "?token=x", "?token=REDACTED"},
		{"", "?a=1&access_token=x&b=2", "?a=1&access_token=REDACTED&b=2"},
		{"", "?password=x;Passwd=y", "?password=REDACTED;Passwd=REDACTED"},
		{"", "?X-Amz-Signature=x&X-Amz-Date=1&X-Amz-Credential=y", "?X-Amz-Signature=REDACTED&X-Amz-Date=1&X-Amz-Credential=REDACTED"},
		{"", "?sig=x&sight=y", "?sig=REDACTED&sight=y"},
		{"", "?api_key=x&apikey=y&api-key=z&key=w&keyboard=v", "?api_key=REDACTED&apikey=REDACTED&api-key=REDACTED&key=REDACTED&keyboard=v"},
		{"", "?t%6Fken=x&%74oken%=y&%zz=z", "?t%6Fken=REDACTED&%74oken%=REDACTED&%zz=z"},
		{"", "?code=x&state=y&scope=z", "?code=REDACTED&state=y&scope=z"},
		{"", "?token", "?token"},
		{"", "?token=", "?token=REDACTED"},
		{"", "?to=/cb?token=x&a=b", "?to=/cb?token=REDACTED&a=b"},
		{"", "?token=a=b", "?token=REDACTED"},
		{"query = { redact = ['Customer'] }", "?customer=7&a=b&token=x", "?customer=REDACTED&a=b&token=REDACTED"},
		{"query = { keep = ['key'] }", "?key=7&token=x", "?key=7&token=REDACTED"},
		{"query = { default = 'redact', keep = ['page'] }", "?page=7&q=x&word", "?page=7&q=REDACTED&word"},
		{"query = { default = 'drop' }", "?page=7", ""},
	} {
		q := parse(t, c.section).Queries
		if got := string(q.Append(nil, []byte(c.in))); got != c.want {
			t.Errorf("%s: %s: got %s, want %s", c.section, c.in, got, c.want)
		}
	}
	q := parse(t, "").Queries
	for in, want := range map[string]string{
		"https://x/a?token=1#access_token=2&a=3": "https://x/a?token=REDACTED#access_token=REDACTED&a=3",
		"https://ann:pw@x/a?b=c":                 "https://REDACTED@x/a?b=c",
		"//ann:p@w@x":                            "//REDACTED@x",
		"https://x/@ann:pw@y//z@":                "https://x/@ann:pw@y//z@",
		"https://x?to=//ann@y":                   "https://x?to=//ann@y",
		"/a//ann@x":                              "/a//ann@x",
		"https://x/a":                            "https://x/a",
		"":                                       "",
		"?":                                      "?",
		"/a#":                                    "/a#",
	} {
		if got := string(q.appendURL(nil, []byte(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// TestSecretsStayOut: no part of a line has what a link is for.
func TestSecretsStayOut(t *testing.T) {
	r := record()
	r.Query = []byte("?page=3&token=s3cret")
	r.Request = []Field{{[]byte("Referer"), []byte("https://ann:s3cret@x/?state=1&code=s3cret&access_token=s3cret")}}
	r.Downstream = []Field{{[]byte("Location"), []byte("/in#id_token=s3cret")}}
	for _, section := range []string{"", "headers.default = 'keep'", "format = 'common'"} {
		c := parse(t, section)
		line := string(newEncoder().encode(newPlan(c), r))
		if strings.Contains(line, "s3cret") || !strings.Contains(line, "page=3") || !strings.Contains(line, "state=1") {
			t.Errorf("%s: %s", section, line)
		}
	}
}

func FuzzQueries(f *testing.F) {
	f.Add([]byte("?a=b&"), []byte("&c"))
	f.Add([]byte("?a=%;?"), []byte(""))
	f.Add([]byte("x=#&"), []byte(";=&&"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		q := Queries{Others: Keep}
		query := append(bytes.Clone(before), "&token=s3cret&"...)
		query = append(query, after...)
		if bytes.Contains(bytes.ReplaceAll(query, []byte("token=s3cret"), nil), []byte("s3cret")) {
			return
		}
		if got := q.Append(nil, query); bytes.Contains(got, []byte("s3cret")) {
			t.Errorf("%q: %q", query, got)
		}
		if got := q.appendURL(nil, query); bytes.Contains(got, []byte("s3cret")) && bytes.ContainsAny(before, "?#") {
			t.Errorf("%q as a URL: %q", query, got)
		}
	})
}
