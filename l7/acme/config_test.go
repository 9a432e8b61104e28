package acme_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l7/acme"
)

func TestParse(t *testing.T) {
	files := map[string]string{"/eab": "c2VjcmV0\n", "/noise": "no base64!"}
	read := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, errors.New("no such file")
	}
	for _, c := range []struct {
		name string
		s    acme.Section
		want string // keys of faults
	}{
		{name: "empty"},
		{name: "all", s: acme.Section{
			Email: "ops@example.com", CA: "https://ca.example/dir", Storage: "file", Namespace: "edge", Folder: "/srv/acme",
			Challenges: []string{"http-01"}, KeyType: "rsa2048", Profile: "shortlived", EABKeyID: "kid", EABHMACFile: "/eab",
		}},
		{name: "wrong", s: acme.Section{
			Email: "ops", CA: "http://ca.example/dir", CARootFile: "/none", Storage: "etcd", Namespace: "A B", Folder: "acme",
			Challenges: []string{"http-01", "dns-01"}, KeyType: "dsa",
		}, want: "ca email storage namespace key_type folder challenges[1] ca_root_file"},
		{name: "half a binding", s: acme.Section{EABKeyID: "kid"}, want: "eab_key_id"},
		{name: "no key", s: acme.Section{EABKeyID: "kid", EABHMACFile: "/noise"}, want: "eab_hmac_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var keys []string
			got := c.s.Parse("/var/lib/acme", read, func(key, problem string) {
				keys = append(keys, strings.TrimPrefix(key, "l7.acme."))
				if problem == "" {
					t.Errorf("%s: no problem", key)
				}
			})
			if text := strings.Join(keys, " "); text != c.want {
				t.Errorf("faults at %q, want %q", text, c.want)
			}
			if c.name == "empty" && (got.CA != acme.LetsEncrypt || got.Storage != acme.InKubernetes || got.Folder != "/var/lib/acme" ||
				got.Namespace != "portico" || got.KeyType != "p256" || !slices.Equal(got.Challenges, []string{acme.HTTP01, acme.TLSALPN01})) {
				t.Errorf("defaults: %+v", got)
			}
			if c.name == "all" && got.EABKey != "c2VjcmV0" {
				t.Errorf("key %q", got.EABKey)
			}
		})
	}
}
