package config

import (
	"errors"
	"strings"
	"testing"
)

// TestAdmin is what [admin] may say.
func TestAdmin(t *testing.T) {
	files := map[string]string{"good": "0123456789abcdef\n", "short": "secret", "odd": "0123456789abcdef 0123456789", "empty": ""}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, errors.New(path + " holds a secret and everybody may read it")
	}
	for _, c := range []struct {
		text, only string
		listen     string
		token      string
		fault      string
	}{
		{"", "vip", "127.0.0.1:9180", "", ""},
		{`listen = ""`, "vip", "", "", ""},
		{`listen = ":9180"`, "vip", ":9180", "", ""},
		{`listen = "9180"`, "vip", "", "", "admin.listen: \"9180\" is no address and port"},
		{`listen = "[::1]:http"`, "vip", "", "", "is no address and port"},
		{`l7_listen = "x"`, "vip", "", "", "admin.l7_listen"},
		{`hosts = ["edge.example:9180"]`, "vip", "", "", "admin.hosts[0]"},
		{`token_file = "good"`, "vip", "127.0.0.1:9180", "0123456789abcdef", ""},
		{`token_file = "open"`, "vip", "", "", "admin.token_file: open holds a secret and everybody may read it"},
		{`token_file = "short"`, "vip", "", "", "openssl rand -hex 32 > short"},
		{`token_file = "odd"`, "l4", "", "", "odd holds no token"},
		{`token_file = "empty"`, "health", "", "", "empty holds no token"},
		// Who does not listen does not read it.
		{`token_file = "open"`, "l7", "127.0.0.1:9180", "", ""},
		{`token_file = "open"`, "", "127.0.0.1:9180", "", ""},
		{"listen = \"\"\ntoken_file = \"open\"", "vip", "", "", ""},
		{"l7_listen = \":9181\"\ntoken_file = \"open\"", "l7", "", "", "admin.token_file"},
	} {
		got, err := parse(source{path: "p", data: []byte("[admin]\n" + c.text + "\n")}, func(part string) bool { return part == c.only }, read)
		switch {
		case c.fault == "" && err != nil, c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%q: %v, want %q", c.text, err, c.fault)
		case err == nil && (got.Admin.Listen != c.listen || got.Admin.Token != c.token):
			t.Errorf("%q: %+v", c.text, got.Admin)
		}
		if err != nil && strings.Contains(err.Error(), "secret") && !strings.Contains(err.Error(), "holds a secret") {
			t.Errorf("%q: the error shows what is in the file: %v", c.text, err)
		}
	}
}
