package acme

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// A Section is [l7.acme] as the operator writes it. That it stands there means
// that the CA's terms of service are agreed to.
type Section struct {
	Email       string   `toml:"email"`
	CA          string   `toml:"ca"`
	CARootFile  string   `toml:"ca_root_file"`
	Storage     string   `toml:"storage"`
	Namespace   string   `toml:"namespace"`
	Folder      string   `toml:"folder"`
	Challenges  []string `toml:"challenges"`
	KeyType     string   `toml:"key_type"`
	Profile     string   `toml:"profile"`
	EABKeyID    string   `toml:"eab_key_id"`
	EABHMACFile string   `toml:"eab_hmac_file"`
}

// LetsEncrypt is the directory that stands in for one that is not named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// The challenges that edges answer: RFC 8555, section 8.3, and RFC 8737.
const (
	HTTP01    = "http-01"
	TLSALPN01 = "tls-alpn-01"
)

// The storages.
const (
	InFolder     = "file"
	InKubernetes = "kubernetes"
)

// A Config is a valid [l7.acme].
type Config struct {
	// Email is where the CA may write to; "" is nowhere.
	Email string
	// CA is the URL of its directory. Default LetsEncrypt.
	CA string
	// Roots are those that the CA's own server is known by, PEM; nil for those
	// of the system.
	Roots []byte
	// Storage is InKubernetes, the default, or InFolder.
	Storage string
	// Namespace holds Secrets and Lease. Default "portico".
	Namespace string
	// Folder is the storage itself or, beside InKubernetes, this edge's copy of
	// it for a start without an API server. Default acme in l7.state_dir.
	Folder string
	// Challenges are those to be tried, of HTTP01 and TLSALPN01. Default both.
	Challenges []string
	// KeyType is "p256", the default, "p384" or "rsa2048".
	KeyType string
	// Profile is one of the CA's, "" its default.
	Profile string
	// EABKeyID and EABKey bind the account to one that the CA knows already
	// (RFC 8555, section 7.3.4); the key in base64url.
	EABKeyID string
	EABKey   string
}

// Parse checks s. Every fault is told to bad with the key it stands at. folder
// stands in where the section names none.
func (s Section) Parse(folder string, readFile func(string) ([]byte, error), bad func(key, problem string)) Config {
	const key = "l7.acme."
	c := Config{
		Email:      s.Email,
		CA:         cmp.Or(s.CA, LetsEncrypt),
		Storage:    cmp.Or(s.Storage, InKubernetes),
		Namespace:  cmp.Or(s.Namespace, "portico"),
		Folder:     cmp.Or(s.Folder, folder),
		Challenges: s.Challenges,
		KeyType:    cmp.Or(s.KeyType, "p256"),
		Profile:    s.Profile,
		EABKeyID:   s.EABKeyID,
	}
	if u, err := url.Parse(c.CA); err != nil || u.Scheme != "https" || u.Host == "" {
		bad(key+"ca", fmt.Sprintf("%q is no directory of a CA: want one such as %q", c.CA, LetsEncrypt))
	}
	if c.Email != "" && (!strings.Contains(c.Email, "@") || strings.ContainsAny(c.Email, " ,?:")) {
		bad(key+"email", fmt.Sprintf("%q is no address: want one such as \"ops@example.com\"", c.Email))
	}
	oneOf(c.Storage, key+"storage", []string{InKubernetes, InFolder}, bad)
	if len(validation.IsDNS1123Label(c.Namespace)) > 0 {
		bad(key+"namespace", fmt.Sprintf("%q is no namespace: want one such as \"portico\"", c.Namespace))
	}
	oneOf(c.KeyType, key+"key_type", []string{"p256", "p384", "rsa2048"}, bad)
	if !filepath.IsAbs(c.Folder) {
		bad(key+"folder", fmt.Sprintf("%q is no absolute path", c.Folder))
	}
	if len(c.Challenges) == 0 {
		c.Challenges = []string{HTTP01, TLSALPN01}
	}
	for i, ch := range c.Challenges {
		oneOf(ch, fmt.Sprintf("%schallenges[%d]", key, i), []string{HTTP01, TLSALPN01}, bad)
	}
	s.parseFiles(&c, readFile, bad)
	return c
}

func (s Section) parseFiles(c *Config, readFile func(string) ([]byte, error), bad func(key, problem string)) {
	const key = "l7.acme."
	if s.CARootFile != "" {
		pem, err := readFile(s.CARootFile)
		switch {
		case err != nil:
			bad(key+"ca_root_file", err.Error())
		case !x509.NewCertPool().AppendCertsFromPEM(pem):
			bad(key+"ca_root_file", s.CARootFile+" holds no certificate in PEM")
		}
		c.Roots = pem
	}
	if (s.EABKeyID == "") != (s.EABHMACFile == "") {
		bad(key+"eab_key_id", "eab_key_id and eab_hmac_file belong together: write both, as the CA gave them")
		return
	}
	if s.EABHMACFile != "" {
		text, err := readFile(s.EABHMACFile)
		if err != nil {
			bad(key+"eab_hmac_file", err.Error())
			return
		}
		c.EABKey = strings.TrimRight(strings.TrimSpace(string(text)), "=")
		if _, err := base64.RawURLEncoding.DecodeString(c.EABKey); err != nil || c.EABKey == "" {
			bad(key+"eab_hmac_file", s.EABHMACFile+" holds no key in base64url, as the CA shows it")
		}
	}
}

func oneOf(s, key string, allowed []string, bad func(key, problem string)) {
	if !slices.Contains(allowed, s) {
		bad(key, fmt.Sprintf("%q is none of %s", s, strings.Join(allowed, ", ")))
	}
}
