package middleware_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/value"
)

// certificate returns one as DER.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dc := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject: pkix.Name{
			Country: []string{"FR"}, Province: []string{"Somewhere"}, Locality: []string{"Town"},
			Organization: []string{"Brie", "Cheese"}, CommonName: "*.cheese.example", SerialNumber: "7",
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: dc, Value: "org"}, {Type: dc, Value: "cheese"}},
		},
		NotBefore:      time.Unix(1700000000, 0),
		NotAfter:       time.Unix(1800000000, 0),
		DNSNames:       []string{"*.cheese.example"},
		EmailAddresses: []string{"a@cheese.example"},
		IPAddresses:    []net.IP{{192, 0, 2, 1}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestClientCertificateSection(t *testing.T) {
	for _, tt := range []struct {
		in   middleware.ClientCertificateSection
		want middleware.ClientCertificate
		bad  string
	}{
		{middleware.ClientCertificateSection{PEM: true, Subject: []string{"common_name", "country"}},
			middleware.ClientCertificate{PEM: true, Subject: middleware.Name{CommonName: true, Country: true}}, ""},
		{middleware.ClientCertificateSection{SANs: true, Issuer: []string{"cn"}}, middleware.ClientCertificate{SANs: true}, "at issuer[0]"},
		{middleware.ClientCertificateSection{}, middleware.ClientCertificate{}, "at "},
	} {
		bad := ""
		got := tt.in.Parse(value.Parser{Bad: func(key, _ string) { bad = "at " + key }})
		if d := cmp.Diff(middleware.Step(tt.want), got); d != "" || bad != tt.bad {
			t.Errorf("%+v: %q %s", tt.in, bad, d)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	der := certificate(t)
	all := middleware.Name{DomainComponent: true, Country: true, Province: true, Locality: true, Organization: true, CommonName: true, SerialNumber: true}
	for _, tt := range []struct {
		name         string
		step         middleware.ClientCertificate
		certificates [][]byte
		whole, infos string
	}{
		{"none", middleware.ClientCertificate{PEM: true, NotAfter: true}, nil, "", ""},
		{"nothing chosen", middleware.ClientCertificate{}, [][]byte{der}, "", ""},
		{"whole", middleware.ClientCertificate{PEM: true}, [][]byte{der}, base64.StdEncoding.EncodeToString(der), ""},
		{"times", middleware.ClientCertificate{NotBefore: true, NotAfter: true}, [][]byte{der, der}, "", "NB=1700000000,NA=1800000000;NB=1700000000,NA=1800000000"},
		{"names", middleware.ClientCertificate{Subject: all, Issuer: middleware.Name{CommonName: true}, SANs: true}, [][]byte{der}, "",
			`Subject="DC=org,DC=cheese,C=FR,ST=Somewhere,L=Town,O=Brie,O=Cheese,SN=7,CN=*.cheese.example",Issuer="CN=*.cheese.example",` +
				`SAN=*.cheese.example,a@cheese.example,192.0.2.1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &middleware.Request{Certificates: tt.certificates, Header: middleware.Header{
				{Name: "X-Forwarded-Tls-Client-Cert", Value: "forged"},
				{Name: "x_forwarded_tls_client_cert_infos", Value: "forged"},
			}}
			if a := tt.step.New(middleware.Env{}).Handle(t.Context(), r); a != nil {
				t.Fatal(a)
			}
			got := map[string]string{}
			for _, f := range r.Header {
				v, err := url.QueryUnescape(f.Value)
				if err != nil {
					t.Fatal(err)
				}
				got[f.Name] = v
			}
			want := map[string]string{}
			if tt.whole != "" {
				want["X-Forwarded-Tls-Client-Cert"] = tt.whole
			}
			if tt.infos != "" {
				want["X-Forwarded-Tls-Client-Cert-Infos"] = tt.infos
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}
