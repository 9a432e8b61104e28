package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/acme"
)

// expiresSoon is when a certificate is told that nobody has renewed: those by
// ACME have a third of their life to go when they are.
const expiresSoon = 7 * 24 * time.Hour

// printCertificates prints what is wrong with certificates that are shown, and
// how those by ACME fare.
func printCertificates(w io.Writer, s l7.Status, now time.Time) {
	for _, f := range s.CertificateFaults {
		fmt.Fprintf(w, "  ! %s\n", f)
	}
	for _, c := range s.Certificates {
		if len(c.Hosts) == 0 && !c.Default {
			continue // nobody is shown it
		}
		switch left := c.NotAfter.Sub(now); {
		case left <= 0:
			fmt.Fprintf(w, "  ! certificate %s for %s expired %s ago\n", c.Name, strings.Join(c.Hosts, " "), age(now, c.NotAfter))
		case left < expiresSoon:
			fmt.Fprintf(w, "  ! certificate %s for %s expires in %d hours\n", c.Name, strings.Join(c.Hosts, " "), int(left.Hours()))
		}
	}
	if s.ACME != nil {
		printACME(w, *s.ACME)
	}
}

func printACME(w io.Writer, s acme.Status) {
	have := 0
	for _, h := range s.Hosts {
		if !h.NotAfter.IsZero() {
			have++
		}
	}
	fmt.Fprintf(w, "  acme: %d of %d hosts have a certificate of %s", have, len(s.Hosts), s.CA)
	if s.Storage.Orders != "" {
		fmt.Fprintf(w, ", %s orders", s.Storage.Orders)
	}
	fmt.Fprintln(w)
	if s.Storage.Err != "" {
		fmt.Fprintf(w, "  ! %s cannot be read: %s\n", s.Storage.Where, s.Storage.Err)
	}
}
