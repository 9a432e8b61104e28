package middleware_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/portico-lb/portico/l7/middleware"
)

// begun is when the requests of these tests are made.
var begun = time.Unix(1_800_000_000, 0)

// The examples of RFC 7616, section 3.9.1.
const (
	mufasaMD5    = "8ca523f5e9506fed4657c9700eebdbec"
	mufasaSHA256 = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
	mufasa       = `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", ` +
		`algorithm=%s, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, ` +
		`cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="%s", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
)

func htdigest(t *testing.T, sum func(string) string) DigestAuth {
	t.Helper()
	users, realm, err := Htdigest([]byte("# users\nMufasa:http-auth@example.org:" + sum("Mufasa:http-auth@example.org:Circle of Life") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return DigestAuth{Users: users, Realm: realm, UserHeader: "X-User"}
}

func hexMD5(s string) string    { b := md5.Sum([]byte(s)); return hex.EncodeToString(b[:]) }
func hexSHA256(s string) string { b := sha256.Sum256([]byte(s)); return hex.EncodeToString(b[:]) }

// ask makes a request of a client that was given the challenge of a.
func ask(a *Answer, sum func(string) string, path string, nc int, change ...string) *Request {
	nonce := strings.Split(a.Header.Get("WWW-Authenticate"), `"`)[3]
	response := sum(sum("Mufasa:http-auth@example.org:Circle of Life") + fmt.Sprintf(":%s:%08x:abc:auth:", nonce, nc) + sum("GET:"+path))
	line := fmt.Sprintf(`Digest username="Mufasa", realm="http-auth@example.org", nonce="%s", uri="%s", cnonce="abc", nc=%08x, qop=auth, response="%s"`,
		nonce, path, nc, response)
	if a.Header.Get("WWW-Authenticate") != "" && strings.Contains(a.Header.Get("WWW-Authenticate"), "SHA-256") {
		line += ", algorithm=SHA-256"
	}
	line = strings.NewReplacer(change...).Replace(line)
	path, query, has := strings.Cut(path, "?")
	if has {
		query = "?" + query
	}
	return &Request{Method: "GET", Path: path, Query: query, Begun: begun, Header: Header{{"Authorization", line}}}
}

// TestDigestRFC checks the examples of RFC 7616: their proofs are right, but
// their nonce is not ours.
func TestDigestRFC(t *testing.T) {
	for _, tc := range []struct {
		algorithm, response string
		sum                 func(string) string
	}{{"MD5", mufasaMD5, hexMD5}, {"SHA-256", mufasaSHA256, hexSHA256}} {
		m := htdigest(t, tc.sum).New(env())
		for response, stale := range map[string]bool{tc.response: true, strings.Repeat("0", len(tc.response)): false} {
			r := &Request{Method: "GET", Path: "/dir/index.html", Begun: begun, Header: Header{{"Authorization", fmt.Sprintf(mufasa, tc.algorithm, response)}}}
			a := m.Handle(t.Context(), r)
			if a == nil || a.Status != 401 || strings.Contains(a.Header.Get("WWW-Authenticate"), "stale=true") != stale {
				t.Errorf("%s %s: answer %+v, want 401 with stale=%v", tc.algorithm, response, a, stale)
			}
		}
	}
}

// TestDigest checks who passes.
func TestDigest(t *testing.T) {
	for _, sum := range []func(string) string{hexMD5, hexSHA256} {
		step := htdigest(t, sum)
		for _, tc := range []struct {
			name   string
			path   string
			change []string
			pass   bool
		}{
			{name: "right", path: "/a?b=c", pass: true},
			{name: "another user", path: "/", change: []string{"Mufasa", "Scar"}},
			{name: "another realm", path: "/", change: []string{"example.org", "example.com"}},
			{name: "another path", path: "/a", change: []string{`uri="/a"`, `uri="/b"`}},
			{name: "without qop", path: "/", change: []string{"qop=auth, ", ""}},
			{name: "auth-int", path: "/", change: []string{"qop=auth", "qop=auth-int"}},
			{name: "another count", path: "/", change: []string{"nc=00000001", "nc=00000002"}},
			{name: "short count", path: "/", change: []string{"nc=00000001", "nc=1"}},
			{name: "twice", path: "/", change: []string{"qop=auth", "qop=auth, qop=auth"}},
			{name: "an extended name", path: "/", change: []string{`username="Mufasa"`, `username*=UTF-8''%4dufasa`}, pass: true},
			{name: "two names", path: "/", change: []string{`username="Mufasa"`, `username="Mufasa", username*=UTF-8''Mufasa`}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				m := step.New(env())
				r := ask(m.Handle(t.Context(), &Request{Begun: begun}), sum, tc.path, 1, tc.change...)
				a := m.Handle(t.Context(), r)
				if tc.pass != (a == nil) || tc.pass && (r.User != "Mufasa" || r.Header.Get("X-User") != "Mufasa") {
					t.Errorf("%v: answer %+v, user %q", r.Header, a, r.User)
				}
			})
		}
	}
}

// TestDigestElsewhere checks that a proof for one target is none for another.
func TestDigestElsewhere(t *testing.T) {
	m := htdigest(t, hexMD5).New(env())
	challenge := m.Handle(t.Context(), &Request{Begun: begun})
	for i, change := range []func(*Request){
		func(r *Request) { r.Path = "/admin" },
		func(r *Request) { r.Query = "?all" },
		func(r *Request) { r.Query = "" },
		func(r *Request) { r.Method = "DELETE" },
	} {
		r := ask(challenge, hexMD5, "/a?b", i+1)
		change(r)
		if m.Handle(t.Context(), r) == nil {
			t.Errorf("passed: %+v", r)
		}
	}
	r := ask(challenge, hexMD5, "/%7euser//x?b", 9)
	r.Path = "/~user/x" // as the engine has it
	r.Rewrite("/x", "")
	if a := m.Handle(t.Context(), r); a != nil {
		t.Errorf("answer %+v to a path in another form", a)
	}
}

// TestDigestReplay checks that no proof is taken twice, in any order, however
// many nonces there are.
func TestDigestReplay(t *testing.T) {
	m := htdigest(t, hexMD5).New(env())
	challenge := m.Handle(t.Context(), &Request{Begun: begun})
	for _, step := range []struct {
		nc   int
		pass bool
	}{{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {100, true}, {36, false}, {37, true}, {37, false}, {100, false}, {0, false}, {5000, true}, {4999, true}} {
		if a := m.Handle(t.Context(), ask(challenge, hexMD5, "/", step.nc)); (a == nil) != step.pass {
			t.Errorf("count %d: answer %+v", step.nc, a)
		}
	}
	for i := range 10_000 { // more than are remembered
		at := begun.Add(time.Duration(i) * time.Millisecond)
		r := ask(m.Handle(t.Context(), &Request{Begun: at}), hexMD5, "/", 1)
		r.Begun = at
		if a := m.Handle(t.Context(), r); a != nil {
			t.Fatalf("nonce %d: answer %+v", i, a)
		}
	}
	a := m.Handle(t.Context(), ask(challenge, hexMD5, "/", 1))
	if a == nil || !strings.HasSuffix(a.Header.Get("WWW-Authenticate"), "stale=true") {
		t.Errorf("answer %+v to one that was forgotten", a)
	}
	forged := m.Handle(t.Context(), &Request{Begun: begun.Add(time.Minute)})
	nonce := strings.Split(forged.Header[0].Value, `"`)[3]
	forged.Header[0].Value = strings.Replace(forged.Header[0].Value, nonce, nonce[:40]+strings.Repeat("A", 3), 1)
	if a := m.Handle(t.Context(), ask(forged, hexMD5, "/", 1)); a == nil || !strings.HasSuffix(a.Header.Get("WWW-Authenticate"), "stale=true") {
		t.Errorf("answer %+v to a forged one", a)
	}
	r := ask(m.Handle(t.Context(), &Request{Begun: begun.Add(time.Minute)}), hexMD5, "/", 1)
	r.Begun = begun.Add(7 * time.Minute)
	if a := m.Handle(t.Context(), r); a == nil || !strings.HasSuffix(a.Header.Get("WWW-Authenticate"), "stale=true") {
		t.Errorf("answer %+v to an old one", a)
	}
}

// TestHtdigest checks what is refused.
func TestHtdigest(t *testing.T) {
	const h = "0123456789abcdef0123456789ABCDEF"
	for text, want := range map[string]string{
		"a:r:" + h:                            "",
		"a:r:" + h + "\nb:r:" + h:             "",
		"a:" + h:                              "line 1: want name:realm:hash",
		"a:r:secret":                          "line 1: the hash is no MD5 and no SHA-256 in hexadecimal digits",
		"a:r:" + h + "\n\nb:s:" + h:           "line 3: the realm or the kind of hash differs from that of the lines before",
		"a:r:" + h + "\nb:r:" + h + h:         "line 2: the realm or the kind of hash differs from that of the lines before",
		"a:r:" + h + "\na:r:" + h:             "line 2: the name has a line before",
		"a:{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY=": "line 1: want name:realm:hash",
	} {
		got := ""
		if _, _, err := Htdigest([]byte(text)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: error %q, want %q", text, got, want)
		}
	}
}

// FuzzDigest checks that no field passes or panics that proves nothing.
func FuzzDigest(f *testing.F) {
	f.Add(fmt.Sprintf(mufasa, "MD5", mufasaMD5))
	f.Add(`Digest username*=UTF-8''a%zz, a="\"", b = "x" , c=d`)
	f.Fuzz(func(t *testing.T, line string) {
		m := DigestAuth{Users: map[string]string{"a": strings.Repeat("0", 32)}, Realm: "r"}.New(env())
		if m.Handle(t.Context(), &Request{Method: "GET", Path: "/", Begun: begun, Header: Header{{"Authorization", line}}}) == nil {
			t.Error("passed")
		}
	})
}
