package middleware

import (
	"errors"
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
	checkUserHeader(p, s.UserHeader)
	out := BasicAuth{Realm: s.Realm, RemoveHeader: s.RemoveHeader, UserHeader: s.UserHeader}
	if len(s.Users) == 0 && s.UsersFile == "" {
		p.Bad("users", "missing: want users, or users_file, with lines of name:hash as htpasswd -B writes them")
		return out
	}
	users, err := Htpasswd([]byte(strings.Join(s.Users, "\n")))
	if err != nil {
		p.Bad("users", err.Error())
		return out
	}
	if s.UsersFile != "" {
		more, err := readUsers(p, s.UsersFile, Htpasswd)
		if err != nil {
			p.Bad("users_file", err.Error())
		}
		maps.Copy(users, more)
	}
	out.Users = users
	return out
}

// readUsers reads a file of users.
func readUsers(p value.Parser, path string, parse func([]byte) (map[string]string, error)) (map[string]string, error) {
	text, err := p.ReadFile(path)
	if err != nil {
		return nil, err
	}
	users, err := parse(text)
	if err == nil && len(users) == 0 {
		err = errors.New("names no user")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return users, nil
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
	checkUserHeader(p, s.UserHeader)
	out := DigestAuth{RemoveHeader: s.RemoveHeader, UserHeader: s.UserHeader}
	if (len(s.Users) == 0) == (s.UsersFile == "") {
		p.Bad("users", "want either users or users_file, with lines of name:realm:hash as htdigest writes them")
		return out
	}
	parse := func(text []byte) (users map[string]string, err error) {
		users, out.Realm, err = Htdigest(text)
		return users, err
	}
	var err error
	if s.UsersFile != "" {
		if out.Users, err = readUsers(p, s.UsersFile, parse); err != nil {
			p.Bad("users_file", err.Error())
		}
	} else if out.Users, err = parse([]byte(strings.Join(s.Users, "\n"))); err != nil {
		p.Bad("users", err.Error())
	}
	return out
}
