package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// A DNSQuery is what a check of kind DNS asks and accepts.
type DNSQuery struct {
	// Name is fully qualified, with its last dot.
	Name string
	Type dnsmessage.Type
	// RCode is the response code that passes.
	RCode dnsmessage.RCode
}

// String gives the query as "www.example.com. A".
func (q DNSQuery) String() string { return q.Name + " " + typeName(q.Type) }

// dnsTypes and dnsCodes are what can be asked for and answered, by the names
// of the registry (RFC 6895).
var (
	dnsTypes = []dnsmessage.Type{
		dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeCNAME, dnsmessage.TypeMX, dnsmessage.TypeNS,
		dnsmessage.TypePTR, dnsmessage.TypeSOA, dnsmessage.TypeSRV, dnsmessage.TypeTXT,
	}
	dnsCodes = map[string]dnsmessage.RCode{
		"NOERROR": dnsmessage.RCodeSuccess, "FORMERR": dnsmessage.RCodeFormatError, "SERVFAIL": dnsmessage.RCodeServerFailure,
		"NXDOMAIN": dnsmessage.RCodeNameError, "NOTIMP": dnsmessage.RCodeNotImplemented, "REFUSED": dnsmessage.RCodeRefused,
	}
)

func typeName(t dnsmessage.Type) string { return strings.TrimPrefix(t.String(), "Type") }

func codeName(r dnsmessage.RCode) string {
	for name, code := range dnsCodes {
		if code == r {
			return name
		}
	}
	return fmt.Sprintf("RCODE%d", r)
}

func probeDNS(ctx context.Context, c Check) error {
	id := uint16(rand.Uint32())
	query, err := c.DNS.pack(id)
	if err != nil {
		return fmt.Errorf("dns query: %w", err)
	}
	conn, err := dialUDP(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer interrupt(ctx, conn)()
	if _, err := conn.Write(query); err != nil {
		return fmt.Errorf("send query: %w", plain(c, err))
	}
	buf := make([]byte, maxDatagram)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return fmt.Errorf("read answer: %w", plain(c, err))
		}
		// What does not answer this query is a late answer to another, or
		// forged.
		if code, ok := c.DNS.answer(id, buf[:n]); ok {
			if code != c.DNS.RCode {
				return fmt.Errorf("dns: %s is answered %s, want %s", c.DNS, codeName(code), codeName(c.DNS.RCode))
			}
			return nil
		}
	}
}

func (q DNSQuery) pack(id uint16) ([]byte, error) {
	name, err := dnsmessage.NewName(q.Name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: q.Type, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// answer returns the response code of the answer to the query with that ID,
// and false where b is no such answer.
func (q DNSQuery) answer(id uint16, b []byte) (dnsmessage.RCode, bool) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.ID != id || !h.Response {
		return 0, false
	}
	question, err := p.Question()
	if errors.Is(err, dnsmessage.ErrSectionDone) && h.RCode != dnsmessage.RCodeSuccess {
		return h.RCode, true // servers that refuse may leave the question out
	}
	if err != nil || question.Type != q.Type || !strings.EqualFold(question.Name.String(), q.Name) {
		return 0, false
	}
	return h.RCode, true
}

func dialUDP(ctx context.Context, c Check) (*net.UDPConn, error) {
	conn, err := new(net.Dialer).DialUDP(ctx, "udp", netip.AddrPort{}, c.Target)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", c.Target, plain(c, err))
	}
	return conn, nil
}
