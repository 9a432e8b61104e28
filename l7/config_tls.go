package l7

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/certs"
)

// A TLSSection makes an entrypoint speak TLS; an empty one does too.
type TLSSection struct {
	MinVersion   string        `toml:"min_version"`
	CipherSuites []string      `toml:"cipher_suites"`
	StrictSNI    bool          `toml:"strict_sni"`
	ClientAuth   string        `toml:"client_auth"`
	ClientCAFile string        `toml:"client_ca_file"`
	Certificates []PairSection `toml:"certificates"`
}

// A PairSection names a certificate and its key on disk.
type PairSection struct {
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
}

// A TicketSection is [l7.tls].
type TicketSection struct {
	TicketKeyFile string `toml:"ticket_key_file"`
	OCSP          *bool  `toml:"ocsp"`
}

// A TLS says how an entrypoint speaks it.
type TLS struct {
	MinVersion uint16
	// CipherSuites are those of TLS 1.2; nil for crypto/tls's choice. Those of
	// 1.3 are not for choosing.
	CipherSuites []uint16
	// StrictSNI ends the handshake of a client that asks for a name without a
	// certificate, or for none.
	StrictSNI bool
	// ClientAuth says whether clients show a certificate, ClientCAs, PEM, who
	// signs it.
	ClientAuth tls.ClientAuthType
	ClientCAs  []byte
	// Certificates are those read from files; the first of all entrypoints
	// answers clients that name no known host.
	Certificates []certs.Pair
}

// ticketKeyLeast is what a secret needs that keys of 256 bits come from.
const ticketKeyLeast = 32

func parseTicketKey(s TicketSection, readFile func(string) ([]byte, error), bad func(key, problem string)) []byte {
	const key = "l7.tls.ticket_key_file"
	if s.TicketKeyFile == "" {
		return nil
	}
	secret, err := readFile(s.TicketKeyFile)
	switch {
	case err != nil:
		bad(key, err.Error())
	case len(secret) < ticketKeyLeast:
		bad(key, fmt.Sprintf("%s holds %d bytes, wanted are %d at least: openssl rand -out %[1]s 48", s.TicketKeyFile, len(secret), ticketKeyLeast))
	}
	return secret
}

func parseTLS(s TLSSection, key string, readFile func(string) ([]byte, error), bad func(key, problem string)) *TLS {
	t := TLS{
		MinVersion:   parseVersion(s.MinVersion, key+".min_version", bad),
		CipherSuites: parseCipherSuites(s.CipherSuites, key+".cipher_suites", bad),
		StrictSNI:    s.StrictSNI,
	}
	t.ClientAuth, t.ClientCAs = parseClientAuth(s, key, readFile, bad)
	for i, p := range s.Certificates {
		if pair, ok := readPair(p, fmt.Sprintf("%s.certificates[%d]", key, i), readFile, bad); ok {
			t.Certificates = append(t.Certificates, pair)
		}
	}
	return &t
}

func parseVersion(s, key string, bad func(key, problem string)) uint16 {
	switch s {
	case "", "1.2":
		return tls.VersionTLS12
	case "1.3":
		return tls.VersionTLS13
	}
	bad(key, fmt.Sprintf("%q is no supported TLS version: allowed are \"1.2\", \"1.3\"", s))
	return tls.VersionTLS12
}

// parseCipherSuites takes the names of IANA's registry.
func parseCipherSuites(names []string, key string, bad func(key, problem string)) []uint16 {
	var ids []uint16
	var allowed []string
	for _, c := range tls.CipherSuites() {
		if slices.Contains(c.SupportedVersions, tls.VersionTLS12) {
			allowed = append(allowed, c.Name)
			if slices.Contains(names, c.Name) {
				ids = append(ids, c.ID)
			}
		}
	}
	for i, n := range names {
		if !slices.Contains(allowed, n) {
			bad(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is no cipher suite to choose: allowed are %s; those of TLS 1.3 are always on", n, strings.Join(allowed, ", ")))
		}
	}
	return ids
}

func parseClientAuth(s TLSSection, key string, readFile func(string) ([]byte, error), bad func(key, problem string)) (auth tls.ClientAuthType, cas []byte) {
	switch s.ClientAuth {
	case "":
		if s.ClientCAFile != "" {
			bad(key+".client_auth", `missing beside client_ca_file: allowed are "optional", "required"`)
		}
		return tls.NoClientCert, nil
	case "optional":
		auth = tls.VerifyClientCertIfGiven
	case "required":
		auth = tls.RequireAndVerifyClientCert
	default:
		bad(key+".client_auth", fmt.Sprintf("%q is no way to ask for certificates: allowed are \"optional\", \"required\"", s.ClientAuth))
		return tls.NoClientCert, nil
	}
	if s.ClientCAFile == "" {
		bad(key+".client_ca_file", "missing: client_auth needs the certificates of those who sign clients'")
		return auth, nil
	}
	cas, err := readFile(s.ClientCAFile)
	switch {
	case err != nil:
		bad(key+".client_ca_file", err.Error())
	case !x509.NewCertPool().AppendCertsFromPEM(cas):
		bad(key+".client_ca_file", s.ClientCAFile+" holds no certificate in PEM")
	}
	return auth, cas
}

// readPair reads and checks a certificate now, so that a wrong file is an
// error of the configuration and not of the first handshake.
func readPair(s PairSection, key string, readFile func(string) ([]byte, error), bad func(key, problem string)) (certs.Pair, bool) {
	p := certs.Pair{Name: s.CertFile, Default: true}
	ok := true
	read := func(path, name string) []byte {
		if path == "" {
			bad(key+"."+name, "missing: a certificate needs cert_file and key_file")
			ok = false
			return nil
		}
		data, err := readFile(path)
		if err != nil {
			bad(key+"."+name, err.Error())
			ok = false
		}
		return data
	}
	p.CertPEM, p.KeyPEM = read(s.CertFile, "cert_file"), read(s.KeyFile, "key_file")
	if !ok {
		return p, false
	}
	if _, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM); err != nil {
		bad(key+".cert_file", fmt.Sprintf("no certificate with its key: %v", err))
		return p, false
	}
	return p, true
}
