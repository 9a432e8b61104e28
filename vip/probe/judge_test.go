package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip/neighbor"
)

var (
	begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	vip4  = netip.MustParseAddr("192.0.2.100")
	vip6  = netip.MustParseAddr("2001:db8::100")
)

func at(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }

func host(n byte) neighbor.MAC { return neighbor.MAC{0x02, 5: n} }

func group(owned bool) Group {
	return Group{Interface: "eth0", Index: 3, MAC: host(1), Up: true, Addrs: []netip.Addr{vip4}, Owned: owned}
}

// link is a segment in memory: hosts answer what the judge asks 10 ms later.
type link struct {
	j     *judge
	now   time.Time
	hosts map[byte]bool
	said  []string
}

func newLink(owned bool) *link {
	l := &link{j: &judge{}, now: begin, hosts: map[byte]bool{}}
	l.own(owned)
	return l
}

func (l *link) own(owned bool) {
	l.j.set(l.now, []Group{group(owned)}, map[neighbor.MAC]bool{host(1): true})
}

// until runs to the time given.
func (l *link) until(seconds float64) {
	for end := at(seconds); ; {
		next := l.j.next()
		if next.After(end) {
			l.now = end
			return
		}
		l.now = next
		asked, found := l.j.step(l.now, 100)
		l.note(found)
		for range asked {
			l.note([]news{{}})
			l.now = l.now.Add(10 * time.Millisecond)
			for n := range byte(10) {
				if l.hosts[n] {
					l.claims(n)
				}
			}
		}
	}
}

func (l *link) claims(n byte) bool {
	contested, found := l.j.hear(l.now, neighbor.Claim{IP: vip4, MAC: host(n)})
	l.note(found)
	return contested
}

func (l *link) note(found []news) {
	for _, n := range found {
		what := "asks"
		if n.Address.IsValid() {
			what = fmt.Sprintf("%c%d", map[bool]rune{false: '+', true: '-'}[n.Gone], n.MAC[5])
		}
		l.said = append(l.said, fmt.Sprintf("%v %s", l.now.Sub(begin).Truncate(100*time.Millisecond).Seconds(), what))
	}
}

// TestJudge tells stories and looks at what is asked and found out: "+2" is
// host 2 reported, "-2" gone. Host 1 is this node.
func TestJudge(t *testing.T) {
	tests := []struct {
		name  string
		owned bool
		do    func(l *link)
		want  string
	}{
		{"owner alone", true, func(l *link) { l.until(25) }, "1 asks, 11 asks, 21 asks"},
		{"own interfaces", true, func(l *link) { l.hosts[1] = true; l.until(15) }, "1 asks, 11 asks"},
		{"another answers, and stops", true, func(l *link) {
			l.hosts[2] = true
			l.until(15)
			l.hosts[2] = false
			l.until(40)
		}, "1 asks, 1 +2, 11 asks, 21 asks, 31 asks, 36 -2"},
		{"the previous owner is still there", true, func(l *link) {
			l.until(0.5)
			l.claims(2)
			l.until(15)
		}, "1 asks, 11 asks"},
		{"claimed unasked", true, func(l *link) { l.until(5); l.claims(2); l.until(10) }, "1 asks, 5 +2"},
		{"missing one question", true, func(l *link) {
			l.hosts[2] = true
			l.until(5)
			l.hosts[2] = false
			l.until(15)
			l.hosts[2] = true
			l.until(45)
		}, "1 asks, 1 +2, 11 asks, 21 asks, 31 asks, 41 asks"},
		{"backup and one owner", false, func(l *link) { l.hosts[2] = true; l.until(130) }, "1 asks, 61 asks, 121 asks"},
		{"backup and two owners", false, func(l *link) {
			l.hosts[2], l.hosts[3] = true, true
			l.until(20)
			l.hosts[3] = false
			l.until(110)
			if ds := l.j.duplicates([]netip.Addr{vip4}); ds != nil {
				t.Errorf("at last %v", ds)
			}
		}, "1 asks, 5 asks, 6 +2, 6 +3, 16 asks, 26 asks, 36 asks, 41 -3, 46 asks, 106 asks"},
		{"backup sees the owner change", false, func(l *link) {
			l.hosts[2] = true
			l.until(1.1)
			l.hosts[2], l.hosts[3] = false, true
			l.claims(3)
			l.until(65)
		}, "1 asks, 5 asks, 65 asks"},
		{"backup hears claims unasked", false, func(l *link) {
			for s := 3.0; s < 20; s++ {
				l.until(s)
				l.claims(2)
				l.claims(3)
			}
		}, "1 asks"},
		{"becoming owner begins anew", false, func(l *link) {
			l.hosts[2], l.hosts[3] = true, true
			l.until(10)
			l.hosts[3] = false
			l.own(true)
			l.until(12)
		}, "1 asks, 5 asks, 6 +2, 6 +3, 11 asks, 11 +2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLink(tt.owned)
			tt.do(l)
			if got := strings.Join(l.said, ", "); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestContested counts each claim of another once.
func TestContested(t *testing.T) {
	l := newLink(true)
	for range 5 {
		l.claims(1)
		l.claims(2)
		l.claims(3)
	}
	if n := l.j.contested([]netip.Addr{vip4, vip6}); n != 2 {
		t.Errorf("%d, want 2", n)
	}
	l.until(0.2)
	if !l.claims(2) {
		t.Error("not contested again")
	}
	l.own(false)
	if l.claims(2) {
		t.Error("contested, but not ours")
	}
	if n := l.j.contested([]netip.Addr{vip4}); n != 3 {
		t.Errorf("the counter went to %d", n)
	}
}

// TestCrowd: invented claimants neither fill the memory nor hide the first.
func TestCrowd(t *testing.T) {
	l := newLink(true)
	l.until(2)
	for i := range 1000 {
		l.j.hear(l.now, neighbor.Claim{IP: vip4, MAC: neighbor.MAC{2, 1, 4: byte(i >> 8), 5: byte(i)}})
	}
	l.j.hear(l.now, neighbor.Claim{IP: vip6, MAC: host(2)}) // not observed
	ds := l.j.duplicates([]netip.Addr{vip4, vip6})
	if len(ds) != crowd || ds[0].MAC != (neighbor.MAC{2, 1}) || !ds[0].Since.Equal(at(2)) || len(l.j.subjects) != 1 {
		t.Errorf("%d: %v", len(ds), ds)
	}
	l.until(30)
	if ds := l.j.duplicates([]netip.Addr{vip4}); ds != nil {
		t.Errorf("they stay: %v", ds)
	}
}

// TestManyQuestions: they do not leave all at once, and none is forgotten.
func TestManyQuestions(t *testing.T) {
	g := group(true)
	for i := range 200 {
		g.Addrs = append(g.Addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	j := &judge{}
	j.set(begin, []Group{g}, nil)
	var asked []netip.Addr
	for now := j.next(); now.Before(at(5)); now = j.next() {
		ask, _ := j.step(now, 16)
		if len(ask) > 2 {
			t.Fatalf("%d at once", len(ask))
		}
		for _, s := range ask {
			asked = append(asked, s.ip)
		}
	}
	if ask, _ := j.step(at(60), 16); len(ask) != 16 { // late with all
		t.Errorf("%d at once when late", len(ask))
	}
	slices.SortFunc(asked, netip.Addr.Compare)
	if n := len(slices.Compact(asked)); n != len(g.Addrs) {
		t.Errorf("%d of %d addresses asked for", n, len(g.Addrs))
	}
}
