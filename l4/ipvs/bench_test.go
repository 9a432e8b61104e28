package ipvs_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/ipvs"
	"github.com/portico-lb/portico/test/lab"
)

// BenchmarkRead reads a thousand services of ten servers, as a director does
// every three seconds.
func BenchmarkRead(b *testing.B) {
	lab.NeedIPVS(b)
	node := lab.New(b).Node("edge")
	node.Do(func() {
		dp := ipvs.New()
		defer dp.Close()
		for i := range 1000 {
			v := l4.VirtualService{Key: l4.Key{Protocol: l4.TCP, Addr: netip.MustParseAddrPort(fmt.Sprintf("192.0.2.10:%d", 1000+i))}, Scheduler: "rr"}
			for j := range 10 {
				addr := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(j + 1)})
				v.Destinations = append(v.Destinations, l4.Destination{Addr: netip.AddrPortFrom(addr, 80), Forward: l4.DirectRoute, Weight: 1})
			}
			if err := dp.Apply(l4.Op{Kind: l4.AddService, Service: v}); err != nil {
				b.Error(err)
				return
			}
		}
		for b.Loop() {
			if s, err := dp.Read(); err != nil || len(s.Services) != 1000 {
				b.Errorf("%d services (%v)", len(s.Services), err)
				return
			}
		}
	})
}
