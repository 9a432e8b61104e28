package middleware

import (
	"fmt"
	"maps"
	"strings"

	"github.com/portico-lb/portico/l7/value"
)

// A BasicAuthSection is basic_auth = {...}.
type BasicAuthSection struct {
	// Users are lines as htpasswd writes them; those of the file come before
	// those of the same name here.
	Users        []string `toml:"users"`
	UsersFile    string   `toml:"users_file"`
	Realm        string   `toml:"realm"`
	RemoveHeader bool     `toml:"remove_header"`
	UserHeader   string   `toml:"user_header"`
}

// Parse checks s.
func (s BasicAuthSection) Parse(p value.Parser) Step {
	users, err := Htpasswd([]byte(strings.Join(s.Users, "\n")))
	if err != nil {
		p.Bad("users", err.Error())
	}
	if s.UsersFile != "" {
		text, err := p.ReadFile(s.UsersFile)
		if err != nil {
			p.Bad("users_file", err.Error())
		}
		more, err := Htpasswd(text)
		if err != nil {
			p.Bad("users_file", fmt.Sprintf("%s: %v", s.UsersFile, err))
		}
		if users == nil {
			users = map[string]string{}
		}
		maps.Copy(users, more)
	}
	if len(users) == 0 {
		p.Bad("users", "missing: want users, or users_file, with lines of name:hash as htpasswd -B writes them")
	}
	checkUserHeader(p, s.UserHeader)
	return BasicAuth{Users: users, Realm: s.Realm, RemoveHeader: s.RemoveHeader, UserHeader: s.UserHeader}
}

func checkUserHeader(p value.Parser, name string) {
	if name != "" {
		checkName(p, "user_header", name)
	}
}

// A DigestAuthSection is digest_auth = {...}.
type DigestAuthSection struct {
	// Users are lines as htdigest writes them, all in one place: either here or
	// in the file.
	Users        []string `toml:"users"`
	UsersFile    string   `toml:"users_file"`
	RemoveHeader bool     `toml:"remove_header"`
	UserHeader   string   `toml:"user_header"`
}

// Parse checks s.
func (s DigestAuthSection) Parse(p value.Parser) Step {
	text, key := []byte(strings.Join(s.Users, "\n")), "users"
	if s.UsersFile != "" {
		var err error
		if text, err = p.ReadFile(s.UsersFile); err != nil {
			p.Bad("users_file", err.Error())
		}
		key = "users_file"
	}
	users, realm, err := Htdigest(text)
	switch {
	case err != nil:
		p.Bad(key, err.Error())
	case len(users) == 0 || len(s.Users) > 0 && s.UsersFile != "":
		p.Bad(key, "want either users or users_file, with lines of name:realm:hash as htdigest writes them")
	}
	checkUserHeader(p, s.UserHeader)
	return DigestAuth{Users: users, Realm: realm, RemoveHeader: s.RemoveHeader, UserHeader: s.UserHeader}
}
