package middleware_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	. "github.com/portico-lb/portico/l7/middleware"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue returns a certificate of a, or of itself where a is nil.
func (a *authority) issue(t *testing.T, name string, ca bool, usage x509.ExtKeyUsage) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Shop"}},
		NotBefore: begun.Add(-time.Hour), NotAfter: begun.Add(time.Hour), BasicConstraintsValid: true, IsCA: ca,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	if a == nil {
		a = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// TestClientCA shows who passes, and what the endpoint is told of them.
func TestClientCA(t *testing.T) {
	const client, server = x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	var nobody *authority
	root, stranger := nobody.issue(t, "root", true, client), nobody.issue(t, "root", true, client)
	middle := root.issue(t, "middle", true, client)
	one, below := root.issue(t, "one", false, client), middle.issue(t, "below", false, client)
	foreign, web := stranger.issue(t, "one", false, client), root.issue(t, "one", false, server)
	told := "ssl-client-verify: SUCCESS\nssl-client-subject-dn: CN=one,O=Shop\nssl-client-issuer-dn: CN=root,O=Shop"
	for name, tt := range map[string]struct {
		step  ClientCA
		shown []*authority
		want  string
	}{
		"nothing shown":            {ClientCA{}, nil, "400"},
		"nothing shown, optional":  {ClientCA{Optional: true}, nil, "ssl-client-verify: NONE"},
		"known":                    {ClientCA{}, []*authority{one}, told},
		"of somebody else":         {ClientCA{}, []*authority{foreign}, "400"},
		"of somebody, optional":    {ClientCA{Optional: true}, []*authority{foreign}, "400"},
		"a server's":               {ClientCA{}, []*authority{web}, "400"},
		"below another":            {ClientCA{Depth: 1}, []*authority{below, middle}, "ssl-client-verify: SUCCESS\nssl-client-subject-dn: CN=below,O=Shop\nssl-client-issuer-dn: CN=middle,O=Shop"},
		"too deep":                 {ClientCA{}, []*authority{below, middle}, "400"},
		"the one between missing":  {ClientCA{Depth: 1}, []*authority{below}, "400"},
		"by name":                  {ClientCA{Name: "CN=(one|two)"}, []*authority{one}, told},
		"of another name":          {ClientCA{Name: "CN=two"}, []*authority{one}, "403"},
		"of a name that ends like": {ClientCA{Name: "ne"}, []*authority{one}, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.step.CA = root.pem()
			if err := tt.step.Check(); err != nil {
				t.Fatal(err)
			}
			r := read(t, "GET https://a.example/\nssl-client-verify: SUCCESS\nSSL_Client_Subject_DN: CN=root")
			for _, a := range tt.shown {
				r.Certificates = append(r.Certificates, a.cert.Raw)
			}
			got := exchange(chain(tt.step), r, "")
			if got = strings.TrimPrefix(got, "GET a.example /\n"); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	r := read(t, "GET https://a.example/")
	r.Certificates = [][]byte{one.cert.Raw}
	if got := exchange(chain(ClientCA{CA: root.pem(), Pass: true}), r, ""); !strings.Contains(got, "\nssl-client-cert: -----BEGIN+CERTIFICATE-----%0A") {
		t.Errorf("got %q", got)
	}
	for _, bad := range []ClientCA{{}, {CA: "nothing"}, {CA: root.pem(), Name: "("}} {
		if bad.Check() == nil {
			t.Errorf("%+v: no fault found", bad)
		}
	}
}
