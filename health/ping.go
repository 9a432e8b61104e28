package health

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// The numbers of ICMP and ICMPv6 among the protocols of IP.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)

func probePing(ctx context.Context, c Check) error {
	addr := c.Target.Addr()
	network, request := "ip4:icmp", icmp.Type(ipv4.ICMPTypeEcho)
	if addr.Is6() {
		network, request = "ip6:ipv6-icmp", ipv6.ICMPTypeEchoRequest
	}
	// The socket is connected, so that it hears this server alone: an
	// unconnected one would hear all that is sent to the host.
	conn, err := new(net.Dialer).DialIP(ctx, network, netip.Addr{}, addr)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("ping %s: %w: the process needs CAP_NET_RAW", addr, plain(c, err))
	}
	if err != nil {
		return fmt.Errorf("ping %s: %w", addr, plain(c, err))
	}
	defer conn.Close()
	defer interrupt(ctx, conn)()

	echo := icmp.Echo{ID: int(uint16(rand.Uint32())), Seq: 1, Data: make([]byte, 16)}
	_, _ = crand.Read(echo.Data) // never fails
	b, err := (&icmp.Message{Type: request, Body: &echo}).Marshal(nil)
	if err != nil {
		return fmt.Errorf("ping %s: %w", addr, err)
	}
	if _, err := conn.Write(b); err != nil {
		return fmt.Errorf("ping %s: %w", addr, plain(c, err))
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFromIP(buf)
		if err != nil {
			return fmt.Errorf("ping %s: %w", addr, plain(c, err))
		}
		if answers(echo, addr.Is6(), buf[:n]) {
			return nil
		}
	}
}

// answers reports whether b is the reply to the echo that was sent.
func answers(sent icmp.Echo, v6 bool, b []byte) bool {
	proto, reply := protoICMP, icmp.Type(ipv4.ICMPTypeEchoReply)
	if v6 {
		proto, reply = protoICMPv6, ipv6.ICMPTypeEchoReply
	}
	m, err := icmp.ParseMessage(proto, b)
	if err != nil || m.Type != reply {
		return false
	}
	echo, ok := m.Body.(*icmp.Echo)
	return ok && echo.ID == sent.ID && bytes.Equal(echo.Data, sent.Data)
}
