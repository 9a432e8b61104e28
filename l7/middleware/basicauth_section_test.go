package middleware_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// parsed has a section read its files from here.
func parsed(s interface{ Parse(value.Parser) Step }) (Step, string) {
	const sha = ":{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY="
	files := map[string]string{
		"users": "ann" + sha + "\nbob" + sha, "digests": "ann:r:00112233445566778899aabbccddeeff", "empty": "# none", "wrong": "\nann:secret", "text": "secret",
	}
	var out []string
	step := s.Parse(value.Parser{
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
		Bad: func(key, problem string) { out = append(out, key+": "+problem) },
	})
	return step, strings.Join(out, "\n")
}

// TestSections checks what operators are told of mistakes, and that no secret is
// in it.
func TestSections(t *testing.T) {
	level := 10
	line := []string{"ann:{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY="}
	for _, c := range []struct {
		in   interface{ Parse(value.Parser) Step }
		want string
	}{
		{BasicAuthSection{UsersFile: "users"}, ""},
		{BasicAuthSection{}, "users: missing: want users, or users_file, with lines of name:hash as htpasswd -B writes them"},
		{BasicAuthSection{UsersFile: "empty"}, "users_file: empty: names no user"},
		{BasicAuthSection{Users: line, UsersFile: "none"}, "users_file: open none: file does not exist"},
		{BasicAuthSection{Users: line, UsersFile: "wrong"}, "users_file: wrong: line 2: the hash is of no kind that is understood: use bcrypt (htpasswd -B)"},
		{BasicAuthSection{Users: []string{line[0], "secret"}, UsersFile: "users"}, "users: line 2: want name:hash"},
		{BasicAuthSection{Users: line, UserHeader: "X User"}, `user_header: "X User" is no name of a field`},
		{DigestAuthSection{UsersFile: "digests"}, ""},
		{DigestAuthSection{}, "users: want either users or users_file, with lines of name:realm:hash as htdigest writes them"},
		{DigestAuthSection{UsersFile: "none"}, "users_file: open none: file does not exist"},
		{DigestAuthSection{UsersFile: "empty"}, "users_file: empty: names no user"},
		{DigestAuthSection{Users: line, UsersFile: "digests"}, "users: want either users or users_file, with lines of name:realm:hash as htdigest writes them"},
		{DigestAuthSection{Users: line}, "users: line 1: want name:realm:hash"},
		{ForwardAuthSection{URL: "http://auth.default.svc/"}, ""},
		{ForwardAuthSection{URL: "http://u:secret@a/"}, ": url: must not hold a password: it is shown to whom may see routes"},
		{ForwardAuthSection{URL: "https://a/", TLS: ClientTLSSection{CAFile: "none"}}, "tls.ca_file: open none: file does not exist"},
		{ForwardAuthSection{URL: "https://a/", TLS: ClientTLSSection{CAFile: "text"}}, ": ca: holds no certificate as PEM"},
		{ForwardAuthSection{URL: "https://a/", Timeout: "0s"}, `timeout: "0s" is no duration for this: allowed are 10ms to 5m0s`},
		{CompressSection{}, ""},
		{CompressSection{Encodings: []string{"deflate", ""}}, "encodings[0]: \"deflate\" is not allowed: want one of zstd, br, gzip\nencodings[1]: \"none\" is not allowed: want one of zstd, br, gzip"},
		{CompressSection{Types: []string{"text"}, Except: []string{"text/"}},
			"types[0]: \"text\" is no media type: want such as \"application/json\" or \"text/*\"\nexcept[0]: \"text/\" is no media type: want such as \"application/json\" or \"text/*\""},
		{CompressSection{Level: &level}, "level: 10 is out of range: allowed are 1 to 9"},
		{BufferingSection{}, ": bounds nothing: want max_request, max_response, or whole = true"},
		{BufferingSection{MaxRequest: "x"}, `max_request: "x" is no size for this: allowed are 0 to 1048576GiB`},
		{ErrorsSection{Status: []string{"404"}, Service: "a/b:c"}, ""},
		{ErrorsSection{Service: "a/b"}, "service: \"a/b\" is no port of a Service: want such as \"shop/pages:80\"\nstatus: missing: want those that are to have a page, such as [\"404\", \"500-599\"]"},
		{ErrorsSection{Status: []string{"404", "200"}, Service: "a/b:80", Query: "x"},
			"status[1]: \"200\" is no range of statuses that report errors: want such as \"404\" or \"500-599\"\nquery: \"x\" is no path: want such as \"/{status}.html\""},
		{CircuitBreakerSection{Expression: "Ratio() > 1"}, `expression: "Ratio() > 1": "Ratio ( ) > 1" stands where NetworkErrorRatio(), ResponseCodeRatio(), LatencyAtQuantileMS() or a number is wanted`},
	} {
		if _, got := parsed(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}

// TestSectionValues checks what is made of sections beside what they say.
func TestSectionValues(t *testing.T) {
	step, _ := parsed(BasicAuthSection{Users: []string{"ann:$apr1$ll2diwtX$Fy5apDIHRAlCAgX0dSajU0"}, UsersFile: "users"})
	if users := step.(BasicAuth).Users; len(users) != 2 || !strings.HasPrefix(users["ann"], "{SHA}") {
		t.Errorf("users %v, want those of the file", users)
	}
	step, _ = parsed(ForwardAuthSection{URL: "http://auth.default.svc:8080/x"})
	f := step.(ForwardAuth)
	if diff := cmp.Diff([]route.Backend{{Namespace: "default", Service: "auth", Port: "8080"}}, f.Backends()); diff != "" || !f.Local {
		t.Errorf("%slocal %v", diff, f.Local)
	}
	step, _ = parsed(ErrorsSection{Status: []string{"404"}, Service: "shop/pages:http"})
	if got := fmt.Sprint(step.(ErrorPages).Backends()); got != "[shop/pages:http]" {
		t.Error(got)
	}
	var _ = []route.Asking{ForwardAuth{}, ErrorPages{}}
}
