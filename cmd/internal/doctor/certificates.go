package doctor

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// A credential is a certificate or a token that ends.
type credential struct {
	// name says where it is from: a file, or a Secret.
	name       string
	token      bool
	begin, end time.Time
	// err is why it cannot be used.
	err string
}

// checkCertificates: what files and Secrets hold is valid, and for a while.
func checkCertificates(_ context.Context, n *Node) []Finding {
	var all []credential
	for _, f := range n.Named {
		data, err := fs.ReadFile(n.Files, inFS(f.Path))
		if err != nil {
			continue // the check of files tells
		}
		if strings.HasSuffix(f.Key, ".kubeconfig") {
			all = append(all, fromKubeconfig(f.Path, data)...)
			continue
		}
		all = append(all, fromPEM(f.Path, data)...)
		if c, isToken := fromToken(f.Path, string(data)); isToken {
			all = append(all, c)
		}
	}
	if n.Proxy != nil {
		for _, c := range n.Proxy.L7.Certificates {
			if !c.Default && !strings.HasPrefix(c.Name, "/") { // files are read above
				all = append(all, credential{name: c.Name, end: c.NotAfter, err: c.Err})
			}
		}
		for _, fault := range n.Proxy.L7.CertificateFaults {
			all = append(all, credential{name: "a Secret", err: fault})
		}
	}
	found := judgeCertificates(all, n.Now)
	if path := n.unreadable(""); path != "" {
		found = append(found, skipped(path+" and perhaps others are not to be read by this user: run this as root"))
	}
	return found
}

func fromPEM(name string, data []byte) []credential {
	var out []credential
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c := credential{name: name}
		if cert, err := x509.ParseCertificate(block.Bytes); err != nil {
			c.err = err.Error()
		} else {
			c.begin, c.end = cert.NotBefore, cert.NotAfter
		}
		out = append(out, c)
	}
}

// fromToken reads when a JSON Web Token ends (RFC 7519, section 4.1.4). Who
// signed it is the API server's business.
func fromToken(name, token string) (credential, bool) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return credential{}, false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Exp, Iat float64 }
	if err != nil || json.Unmarshal(body, &claims) != nil || claims.Exp == 0 {
		return credential{}, false
	}
	return credential{name: name, token: true, begin: time.Unix(int64(claims.Iat), 0), end: time.Unix(int64(claims.Exp), 0)}, true
}

func fromKubeconfig(name string, data []byte) []credential {
	var k struct {
		Clusters []struct {
			Cluster struct {
				CA []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Token       string
			}
		}
	}
	if err := yaml.Unmarshal(data, &k); err != nil {
		return []credential{{name: name, err: "it is no kubeconfig"}} // the parser's text may hold the token
	}
	var out []credential
	for _, c := range k.Clusters {
		out = append(out, fromPEM(name, c.Cluster.CA)...)
	}
	for _, u := range k.Users {
		out = append(out, fromPEM(name, u.User.Certificate)...)
		if c, isToken := fromToken(name, u.User.Token); isToken {
			out = append(out, c)
		}
	}
	return out
}

// soon is how long before its end a credential is reported. Those that live
// shorter are renewed by a program, and reported in the last quarter.
const soon = 14 * 24 * time.Hour

func judgeCertificates(all []credential, now time.Time) []Finding {
	var out []Finding
	var first time.Time
	for _, c := range all {
		what, why, cure := "certificate", "clients do not believe it", "openssl x509 -noout -subject -issuer -dates -in "+c.name
		switch {
		case c.token:
			what, why, cure = "token", "the API server does not know this node then", "kubectl create token portico -n portico --duration=8760h >"+c.name
		case !strings.HasPrefix(c.name, "/"):
			cure = "portico status --json | jq .proxy.l7.certificates"
		}
		left := c.end.Sub(now)
		notice := soon
		if life := c.end.Sub(c.begin); !c.begin.IsZero() {
			notice = min(soon, life/4)
		}
		switch {
		case c.err != "":
			out = append(out, fail(fmt.Sprintf("%s of %s cannot be used: %s", what, c.name, c.err), why, cure))
			continue
		case left <= 0:
			out = append(out, fail(fmt.Sprintf("%s of %s ended at %s", what, c.name, c.end.UTC().Format(time.DateTime)), why, cure))
		case now.Before(c.begin):
			out = append(out, fail(fmt.Sprintf("%s of %s begins at %s", what, c.name, c.begin.UTC().Format(time.DateTime)), why+"; or the clock is wrong", cure))
		case left < notice:
			out = append(out, warn(fmt.Sprintf("%s of %s ends in %s", what, c.name, days(left)), why, cure))
		}
		if first.IsZero() || c.end.Before(first) {
			first = c.end
		}
	}
	if len(all) == 0 {
		return ok("no certificate and no token is to be seen")
	}
	return orOK(out, fmt.Sprintf("%d certificates and tokens are valid, the first ends in %s", len(all), days(first.Sub(now))))
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
