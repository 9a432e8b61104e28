package middleware

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // {SHA} lines are what operators have
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/GehirnInc/crypt/apr1_crypt"
	"github.com/GehirnInc/crypt/md5_crypt"
	"github.com/GehirnInc/crypt/sha256_crypt"
	"github.com/GehirnInc/crypt/sha512_crypt"
	"golang.org/x/crypto/bcrypt"
)

// Htpasswd reads lines of "name:hash" as Apache's htpasswd writes them; empty
// ones and those that begin with "#" are skipped. CheckHash says which hashes
// are understood. An error names the line and never what stands in it.
func Htpasswd(text []byte) (map[string]string, error) {
	users := map[string]string{}
	err := eachLine(text, func(line string) error {
		name, hash, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return errors.New("want name:hash")
		}
		// htpasswd ignores what follows in further fields.
		hash, _, _ = strings.Cut(hash, ":")
		if _, twice := users[name]; twice {
			return errors.New("the name has a line before")
		}
		users[name] = hash
		return CheckHash(hash)
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

// eachLine calls f with the lines of a file of users, and names the one that is
// at fault.
func eachLine(text []byte, f func(string) error) error {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// Costs beyond which a question would take seconds: of bcrypt, and the rounds
// of SHA-crypt.
const (
	mostCost   = 15
	mostRounds = 500_000
)

var (
	cryptMD5 = regexp.MustCompile(`^\$(apr1|1)\$[^$:]{0,8}\$[./0-9A-Za-z]{22}$`)
	cryptSHA = regexp.MustCompile(`^\$([56])\$(?:rounds=(\d{1,9})\$)?[^$:]{0,16}\$([./0-9A-Za-z]+)$`)
)

// CheckHash reports whether a hash can be compared with a password: bcrypt
// ($2a$, $2b$, $2y$), Apache's MD5 ($apr1$), {SHA}, and those of crypt(3) $1$,
// $5$ and $6$. The error does not tell the hash.
func CheckHash(hash string) error {
	switch {
	case strings.HasPrefix(hash, "$2"):
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || len(hash) != 60 {
			return errors.New("this is no whole bcrypt hash")
		}
		if cost > mostCost {
			return fmt.Errorf("bcrypt of cost %d takes too long: at most %d is taken", cost, mostCost)
		}
		return nil
	case strings.HasPrefix(hash, "{SHA}"):
		if b, err := base64.StdEncoding.DecodeString(hash[len("{SHA}"):]); err != nil || len(b) != sha1.Size {
			return errors.New("this is no whole {SHA} hash")
		}
		return nil
	case cryptMD5.MatchString(hash):
		return nil
	}
	m := cryptSHA.FindStringSubmatch(hash)
	if m == nil || len(m[3]) != map[string]int{"5": 43, "6": 86}[m[1]] {
		return errors.New("the hash is of no kind that is understood: use bcrypt (htpasswd -B)")
	}
	if rounds, _ := strconv.Atoi(m[2]); rounds > mostRounds {
		return fmt.Errorf("%d rounds take too long: at most %d are taken", rounds, mostRounds)
	}
	return nil
}

// matches reports whether password has the hash, which CheckHash has passed.
func matches(hash, password string) bool {
	switch {
	case strings.HasPrefix(hash, "$2"):
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	case strings.HasPrefix(hash, "{SHA}"):
		sum := sha1.Sum([]byte(password)) //nolint:gosec // see above
		return equal(hash[len("{SHA}"):], base64.StdEncoding.EncodeToString(sum[:]))
	}
	var got string
	var err error
	switch salt := hash[:strings.LastIndexByte(hash, '$')]; {
	case strings.HasPrefix(hash, "$apr1$"):
		got, err = apr1_crypt.New().Generate([]byte(password), []byte(salt))
	case strings.HasPrefix(hash, "$1$"):
		got, err = md5_crypt.New().Generate([]byte(password), []byte(salt))
	case strings.HasPrefix(hash, "$5$"):
		got, err = sha256_crypt.New().Generate([]byte(password), []byte(salt))
	case strings.HasPrefix(hash, "$6$"):
		got, err = sha512_crypt.New().Generate([]byte(password), []byte(salt))
	}
	return err == nil && equal(hash, got)
}

// equal takes as long wherever the two differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
