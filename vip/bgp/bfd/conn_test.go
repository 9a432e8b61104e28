package bfd

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// TestForwarded sends a packet that went through a router, and one that did not.
func TestForwarded(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		v6 := host == "::1"
		r, err := listen(t.Context(), v6, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		to := &net.UDPAddr{IP: net.ParseIP(host), Port: r.LocalAddr().(*net.UDPAddr).Port}
		forwarded, err1 := dial(t.Context(), v6)
		direct, err2 := dial(t.Context(), v6)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		defer forwarded.Close()
		defer direct.Close()
		if v6 {
			err = ipv6.NewPacketConn(forwarded).SetHopLimit(ttl - 1)
		} else {
			err = ipv4.NewPacketConn(forwarded).SetTTL(ttl - 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		if p := direct.LocalAddr().(*net.UDPAddr).Port; p < firstSource {
			t.Errorf("sends from port %d", p)
		}
		p := Packet{State: Down, Multiplier: 3, My: 1}
		_, err1 = forwarded.WriteTo(p.Append(nil), to)
		_, err2 = direct.WriteTo([]byte("no packet"), to)
		p.My = 2
		_, err3 := direct.WriteTo(p.Append(nil), to)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if err := r.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if h, err := r.receive(); err != nil || h.Packet != p || h.from.String() != host {
			t.Errorf("got %+v, %v", h, err)
		}
	}
}
