package middleware_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "github.com/portico-lb/portico/l7/middleware"
)

// passwords are lines of tools that operators use, each of the password
// "s3cret-ü".
const passwords = `
# htpasswd -B, -m, -s; openssl passwd -1, -5, -6
bcrypt:$2b$10$j32l68uHuBRbWV2HeNsjGOG7Z.kRJYD2OG.fZKBStaEr5AJaI6ewW
apr1:$apr1$ll2diwtX$Fy5apDIHRAlCAgX0dSajU0
sha:{SHA}TG0Z6p+y9EQPSWI6b8IVfD1D+wg=
md5:$1$e7FY6VBe$xKYBrUII9G0GNaCG8bxzb1
sha256:$5$g2ulresuKiDGq0Ns$e0Jz312KBhx1mIE0fOJ1mSEhUBgjFLWyXykiEPt.sr1
sha512:$6$7GCNFoNiDc3Vyz1N$ar8aNGh6VXcUVq8cvY2.m9YywSINc5hBS5e.xfDBdZ4JddQc4k.ZZgezIBlhhD9oKjD33kwT7b2UE7UqwmaNv/
rounds:$6$rounds=2000$abcdefgh$HUWbE2LY8/FAGqyC0yL8iC47h0.5LidJqn7XZCmJxuxAwQYsRxpGtfWvrR3aUYxxWyi4ieWyN.WHGjNkmHN2t1
`

func env() Env { return Env{Log: slog.New(slog.DiscardHandler)} }

// basic is an Authorization field.
func basic(user, password string) Field {
	return Field{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

// TestBasicAuth checks who passes, and what the endpoint is told.
func TestBasicAuth(t *testing.T) {
	users, err := Htpasswd([]byte(passwords))
	if err != nil {
		t.Fatal(err)
	}
	step := BasicAuth{Users: users, Realm: `the "shop"`, UserHeader: "X-Auth-User"}
	removing := step
	removing.RemoveHeader = true
	for _, tc := range []struct {
		name   string
		step   BasicAuth
		header Header
		want   string // who it is, "" for an answer
		kept   Header
	}{
		{name: "nothing", step: step},
		{name: "no user", step: BasicAuth{}, header: Header{basic("bcrypt", "s3cret-ü")}},
		{name: "wrong", step: step, header: Header{basic("bcrypt", "s3cret-u")}},
		{name: "unknown", step: step, header: Header{basic("nobody", "s3cret-ü")}},
		{name: "empty", step: step, header: Header{basic("", "")}},
		{name: "no colon", step: step, header: Header{{"Authorization", "Basic Ynl0ZXM="}}},
		{name: "no base64", step: step, header: Header{{"Authorization", "Basic ~~"}}},
		{name: "other scheme", step: step, header: Header{{"Authorization", "Bearer " + basic("bcrypt", "s3cret-ü").Value[6:]}}},
		{name: "the hash itself", step: step, header: Header{basic("sha", users["sha"])}},
		{name: "two fields", step: step, header: Header{basic("bcrypt", "s3cret-ü"), basic("bcrypt", "s3cret-ü")}},
		{name: "long", step: step, header: Header{basic("apr1", strings.Repeat("x", 2000))}},
		{
			name: "removed, and the client's claims too", step: removing, want: "apr1",
			header: Header{{"x_auth_user", "admin"}, {"X-Auth-User", "admin"}, {"Accept", "*/*"}, {"X.AUTH-USER", "admin"}, basic("apr1", "s3cret-ü")},
			kept:   Header{{"Accept", "*/*"}, {"X-Auth-User", "apr1"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Request{Header: tc.header}
			a := tc.step.New(env()).Handle(t.Context(), r)
			if tc.want == "" {
				if a == nil || a.Status != 401 || a.Header.Get("WWW-Authenticate") == "" {
					t.Fatalf("answer %+v, want 401 with a challenge", a)
				}
				return
			}
			if a != nil || r.User != tc.want {
				t.Fatalf("answer %+v to %q, want %q to pass", a, r.User, tc.want)
			}
			if diff := cmp.Diff(tc.kept, r.Header); diff != "" {
				t.Error(diff)
			}
		})
	}
	for user := range users {
		r := &Request{Header: Header{basic(user, "s3cret-ü")}}
		m := step.New(env())
		for range 2 { // found out, and remembered
			if a := m.Handle(t.Context(), r); a != nil {
				t.Errorf("%s: answer %+v", user, a)
			}
		}
	}
	if got, want := step.New(env()).Handle(t.Context(), &Request{}).Header.Get("WWW-Authenticate"),
		`Basic realm="the \"shop\"", charset="UTF-8"`; got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
}

// TestBasicAuthWaits checks that one whose turn does not come does not pass.
func TestBasicAuthWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	users, _ := Htpasswd([]byte(passwords))
	m := BasicAuth{Users: users}.New(env())
	for range 50 { // select picks at random where both ways are open
		a := m.Handle(ctx, &Request{Header: Header{basic("bcrypt", "wrong")}})
		if a == nil || a.Status != 503 && a.Status != 401 {
			t.Fatalf("answer %+v", a)
		}
	}
}

// TestBasicAuthRemembers checks that bcrypt is not asked again and again, for
// neither right nor wrong passwords.
func TestBasicAuthRemembers(t *testing.T) {
	users, _ := Htpasswd([]byte(passwords))
	m := BasicAuth{Users: users}.New(env())
	for _, password := range []string{"s3cret-ü", "wrong"} {
		r := &Request{Header: Header{basic("bcrypt", password)}}
		m.Handle(t.Context(), r)
		start := time.Now()
		for range 100 {
			m.Handle(t.Context(), r)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("100 requests took %v", d)
		}
	}
}

// TestHtpasswd checks what is refused, and that no error tells a secret.
func TestHtpasswd(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"a:{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY=", ""},
		{"\n# a comment\r\na:{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY=:more\r\n", ""},
		{"secret", "line 1: want name:hash"},
		{":{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY=", "line 1: want name:hash"},
		{"\na:secret", "line 2: the hash is of no kind that is understood: use bcrypt (htpasswd -B)"},
		{"a:", "line 1: the hash is of no kind that is understood: use bcrypt (htpasswd -B)"},
		{"a:{SHA}secret", "line 1: this is no whole {SHA} hash"},
		{"a:{PLAIN}secret", "line 1: the hash is of no kind that is understood: use bcrypt (htpasswd -B)"},
		{"a:$2y$10$secret", "line 1: this is no whole bcrypt hash"},
		{"a:$2y$31$" + strings.Repeat("x", 53), "line 1: bcrypt of cost 31 takes too long: at most 15 is taken"},
		{"a:$6$rounds=999999999$salt$" + strings.Repeat("x", 86), "line 1: 999999999 rounds take too long: at most 500000 are taken"},
		{"a:$6$salt$" + strings.Repeat("x", 43), "line 1: the hash is of no kind that is understood: use bcrypt (htpasswd -B)"},
		{"a:{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY=\na:{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY=", "line 2: the name has a line before"},
	} {
		_, err := Htpasswd([]byte(tc.text))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%q: error %q, want %q", tc.text, got, tc.want)
		}
	}
}

func FuzzHtpasswd(f *testing.F) {
	f.Add([]byte(passwords), "s3cret-ü")
	f.Add([]byte("a:$5$rounds=1000$s$secret"), "")
	f.Fuzz(func(t *testing.T, text []byte, password string) {
		users, err := Htpasswd(text)
		if err != nil {
			return
		}
		for name, hash := range users {
			if strings.HasPrefix(hash, "$2") || strings.Contains(hash, "rounds=") {
				continue // slow
			}
			BasicAuth{Users: map[string]string{name: hash}}.New(env()).
				Handle(t.Context(), &Request{Header: Header{basic(name, password)}})
		}
	})
}
