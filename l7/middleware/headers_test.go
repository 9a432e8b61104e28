package middleware_test

import (
	"encoding/json"
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
)

func TestHeaders(t *testing.T) {
	c := chain(Headers{
		Request: Fields{
			Remove: []string{"x-gone"},
			Set:    Header{{"X-A", "1"}, {"host", "inner.example"}},
			Add:    Header{{"X-B", "2"}},
		},
		Response: Fields{Remove: []string{"Server"}, Set: Header{{"X-C", "3"}}, Add: Header{{"X-D", "4"}}},
	})
	got := exchange(c, read(t, "GET http://example.com/\nx-a: 0\nX-Gone: 0\nX-B: 0\nX-A: 0"), "")
	if want := "GET inner.example /\nX-B: 0\nX-A: 1\nX-B: 2"; got != want {
		t.Errorf("the endpoint gets\n%s\nwant\n%s", got, want)
	}
	got = exchange(c, read(t, "GET http://example.com/"), "404\nserver: x\nX-C: 0\nX-D: 0")
	if want := "404\nX-D: 0\nX-C: 3\nX-D: 4"; got != want {
		t.Errorf("the client gets\n%s\nwant\n%s", got, want)
	}
}

// TestHeadersJSON: what endpoints get may be a password.
func TestHeadersJSON(t *testing.T) {
	s := Headers{
		Request:  SetOrRemove(map[string]string{"X-Gone": "", "Authorization": "Bearer s3cret"}),
		Response: Fields{Add: Header{{"X-A", "1"}}},
	}
	got, err := json.Marshal(s)
	if want := `{"request":{"remove":["X-Gone"],"set":["Authorization"]},"response":{"add":["X-A: 1"]}}`; err != nil || string(got) != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
}

func TestHeadersSection(t *testing.T) {
	set := func(name, value string) HeadersSection {
		return HeadersSection{Request: FieldsSection{Set: map[string]string{name: value}}}
	}
	for _, c := range []struct {
		in   HeadersSection
		want string
	}{
		{set("X-A", "1"), ""},
		{set("X-A", ""), ""},
		{set("Host", "inner.example"), ""},
		{HeadersSection{}, ": changes nothing: want set, add or remove in request or response"},
		{set("X A", "1"), `request.set.X A: "X A" is no name of a field`},
		{set("Host", ""), "request.set.Host: Host belongs to the connection or to the body's framing: it can be neither set nor removed"},
		{set("content-length", "0"), "request.set.content-length: content-length belongs to the connection or to the body's framing: it can be neither set nor removed"},
		{set("X-A", "1\r\nX-B: 2"), `request.set.X-A: "1\r\nX-B: 2" is no value of a field: it holds control characters, or blanks at its ends`},
		{HeadersSection{Response: FieldsSection{Set: map[string]string{"Host": "a"}}},
			"response.set.Host: Host belongs to the connection or to the body's framing: it can be neither set nor removed"},
		{HeadersSection{Response: FieldsSection{Add: map[string]string{"X-A": " 1"}, Remove: []string{"", "Upgrade"}}},
			"response.add.X-A: \" 1\" is no value of a field: it holds control characters, or blanks at its ends\n" +
				"response.remove[0]: \"\" is no name of a field\n" +
				"response.remove[1]: Upgrade belongs to the connection or to the body's framing: it can be neither set nor removed"},
	} {
		if got := faults(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}
