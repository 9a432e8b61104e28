package ipvs

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

func encoded(t testing.TB, f func(*netlink.AttributeEncoder)) []byte {
	e := netlink.NewAttributeEncoder()
	f(e)
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decoder(t testing.TB, b []byte) *netlink.AttributeDecoder {
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestServiceCodec(t *testing.T) {
	for _, s := range []service{
		{family: unix.AF_INET, protocol: 6, addr: netip.MustParseAddrPort("192.0.2.10:80"), scheduler: "mh", flags: 0x18, prefix: 32},
		{family: unix.AF_INET, protocol: 17, addr: netip.MustParseAddrPort("192.0.2.10:53"), scheduler: "rr", flags: 0x05, timeout: 300, prefix: 24},
		{family: unix.AF_INET6, protocol: 132, addr: netip.MustParseAddrPort("[2001:db8::10]:80"), scheduler: "wlc", flags: 1, timeout: 300, prefix: 64, engine: "sip"},
		{family: unix.AF_INET, mark: 1 << 31, scheduler: "sh", prefix: 1},
		{family: unix.AF_INET6, mark: 7, scheduler: "sh", prefix: 128},
	} {
		got, err := decodeService(decoder(t, encoded(t, s.encode)))
		// A flag travels with its mask, which the kernel does not send back.
		if err != nil || got != s {
			t.Errorf("%+v became %+v (%v)", s, got, err)
		}
	}
}

func TestDestinationCodec(t *testing.T) {
	for _, x := range []destination{
		{addr: netip.MustParseAddrPort("10.0.0.1:80"), forward: 3, weight: 1},
		{addr: netip.MustParseAddrPort("10.0.0.1:8080"), forward: 0, weight: 1 << 20, upper: 1000, lower: 800},
		{addr: netip.MustParseAddrPort("[2001:db8::1]:80"), forward: 2, weight: 0, tunType: 1, tunPort: 6080, tunFlags: 2},
	} {
		got, err := decodeDestination(decoder(t, encoded(t, x.encode)), unix.AF_INET)
		if err != nil || got != x {
			t.Errorf("%+v became %+v (%v)", x, got, err)
		}
	}
}

// Kernels before 3.18 do not tell a server's family: it is its service's.
func TestDestinationWithoutFamily(t *testing.T) {
	for family, want := range map[uint16]string{unix.AF_INET: "10.0.0.1:80", unix.AF_INET6: "[a00:1::]:80"} {
		b := encoded(t, func(e *netlink.AttributeEncoder) {
			e.Bytes(destAddr, union(netip.MustParseAddr("10.0.0.1")))
			e.Bytes(destPort, []byte{0, 80})
		})
		if got, err := decodeDestination(decoder(t, b), family); err != nil || got.addr.String() != want {
			t.Errorf("family %d: %v, %v, want %s", family, got.addr, err, want)
		}
	}
}

// The counters that wrap at 32 bits are used where there are no others.
func TestStats(t *testing.T) {
	narrow := func(e *netlink.AttributeEncoder) error {
		for i := range uint16(10) {
			if i == 3 || i == 4 {
				e.Uint64(i+1, 1<<40+uint64(i))
			} else {
				e.Uint32(i+1, uint32(i))
			}
		}
		return nil
	}
	wide := func(e *netlink.AttributeEncoder) error {
		for i := range uint16(10) {
			e.Uint64(i+1, 1<<40+uint64(i))
		}
		e.Bytes(11, nil) // IPVS_STATS_ATTR_PAD
		return nil
	}
	addr := func(e *netlink.AttributeEncoder) { e.Bytes(destAddr, union(netip.MustParseAddr("10.0.0.1"))) }
	old, err := decodeDestination(decoder(t, encoded(t, func(e *netlink.AttributeEncoder) { addr(e); e.Nested(destStats, narrow) })), unix.AF_INET)
	if want := (l4.Stats{Connections: 0, PacketsIn: 1, PacketsOut: 2, BytesIn: 1<<40 + 3, BytesOut: 1<<40 + 4, ConnectionRate: 5, PacketRateIn: 6, PacketRateOut: 7, ByteRateIn: 8, ByteRateOut: 9}); err != nil || old.stats != want {
		t.Errorf("%+v (%v), want %+v", old.stats, err, want)
	}
	both, err := decodeDestination(decoder(t, encoded(t, func(e *netlink.AttributeEncoder) {
		addr(e)
		e.Nested(destStats64, wide)
		e.Nested(destStats, narrow)
	})), unix.AF_INET)
	if both.stats.Connections != 1<<40 || both.stats.ByteRateOut != 1<<40+9 || err != nil {
		t.Errorf("%+v (%v)", both.stats, err)
	}
}

func TestDaemonCodec(t *testing.T) {
	for x, role := range map[l4.Daemon]l4.Role{
		{Interface: "eth0", ID: 51}: l4.Master,
		{Interface: "eth1", ID: 255, MaxLen: 1400, Group: netip.MustParseAddr("239.0.0.1"), Port: 8849, TTL: 3}: l4.Backup,
		{Interface: "eth1", Group: netip.MustParseAddr("ff02::81")}:                                             l4.Backup,
	} {
		r, got, err := decodeDaemon(decoder(t, encoded(t, encodeDaemon(role, x))))
		if err != nil || r != role || got != x {
			t.Errorf("%s %+v became %s %+v (%v)", role, x, r, got, err)
		}
	}
}

// Whatever stands in an answer, decoding ends, and what it understood can be
// said again.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, service{family: unix.AF_INET6, addr: netip.MustParseAddrPort("[2001:db8::10]:80"), scheduler: "mh", prefix: 64}.encode))
	f.Add(encoded(f, service{family: unix.AF_INET, mark: 7, scheduler: "mh", engine: "sip", prefix: 24}.encode))
	f.Add(encoded(f, destination{addr: netip.MustParseAddrPort("10.0.0.1:80"), tunType: 1}.encode))
	f.Add(encoded(f, encodeDaemon(l4.Master, l4.Daemon{Interface: "eth0", Group: netip.MustParseAddr("ff02::81")})))
	f.Fuzz(func(t *testing.T, b []byte) {
		fresh := func() *netlink.AttributeDecoder {
			d, err := netlink.NewAttributeDecoder(b)
			if err != nil {
				t.Skip()
			}
			return d
		}
		if s, err := decodeService(fresh()); err == nil && s.prefix <= 32 && (s.family == unix.AF_INET || s.family == unix.AF_INET6) {
			s.stats = l4.Stats{}
			again, err := decodeService(decoder(t, encoded(t, s.encode)))
			if err != nil || again != s {
				t.Errorf("%+v became %+v (%v)", s, again, err)
			}
		}
		if x, err := decodeDestination(fresh(), uint16(2+8*rand.IntN(2))); err == nil {
			x.stats, x.active, x.inactive, x.persistent = l4.Stats{}, 0, 0, 0
			again, err := decodeDestination(decoder(t, encoded(t, x.encode)), 0)
			if err != nil || again != x {
				t.Errorf("%+v became %+v (%v)", x, again, err)
			}
		}
		if r, x, err := decodeDaemon(fresh()); err == nil {
			again, got, err := decodeDaemon(decoder(t, encoded(t, encodeDaemon(r, x))))
			if err != nil || again != r || got != x {
				t.Errorf("%s %+v became %s %+v (%v)", r, x, again, got, err)
			}
		}
	})
}
