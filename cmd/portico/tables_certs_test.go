package main

import (
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/l7/certs"
)

func TestPrintCertificates(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	printCertificates(&out, l7.Status{
		CertificateFaults: []string{"certificate shop/broken: no key: correct it"},
		Certificates: []certs.Certificate{
			{Name: "shop/good", Hosts: []string{"good.example.com"}, NotAfter: now.AddDate(0, 1, 0)},
			{Name: "shop/late", Hosts: []string{"late.example.com"}, NotAfter: now.Add(30 * time.Hour)},
			{Name: "shop/dead", Hosts: []string{"dead.example.com"}, NotAfter: now.Add(-2 * time.Hour)},
			{Name: "shop/unused", NotAfter: now.Add(-2 * time.Hour)},
		},
		ACME: &acme.Status{
			CA:      "https://ca.example/dir",
			Storage: acme.StorageStatus{Where: "Secrets in namespace portico", Orders: "edge-2", Err: "connection refused"},
			Hosts:   []acme.HostStatus{{Host: "a", NotAfter: now.AddDate(0, 1, 0)}, {Host: "b"}},
		},
	}, now)
	const want = `  ! certificate shop/broken: no key: correct it
  ! certificate shop/late for late.example.com expires in 30 hours
  ! certificate shop/dead for dead.example.com expired 2h0m ago
  acme: 1 of 2 hosts have a certificate of https://ca.example/dir, edge-2 orders
  ! Secrets in namespace portico cannot be read: connection refused
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
