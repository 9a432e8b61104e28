package neighbor_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/portico-lb/portico/vip/neighbor"
)

var (
	mac  = neighbor.MAC{0x02, 0, 0, 0, 0, 0x0a}
	vip4 = netip.MustParseAddr("192.0.2.100")
	vip6 = netip.MustParseAddr("2001:db8::64")
	own6 = netip.MustParseAddr("fe80::a")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// Frames written out by hand from RFC 826, RFC 5227 and RFC 4861.
func arp(op, sha, spa, tha, tpa string) []byte {
	return unhex("ffffffffffff 02000000000a 0806 0001 0800 06 04 " + op + sha + spa + tha + tpa + strings.Repeat("00", 18))
}

func garp(op string) []byte { return arp(op, "02000000000a", "c0000264", "ffffffffffff", "c0000264") }

func na(flags, sum, rest string) []byte {
	return unhex(fmt.Sprintf("333300000001 02000000000a 86dd 60000000 %04x 3a ff", 24+len(unhex(rest))) +
		"20010db8000000000000000000000064 ff020000000000000000000000000001" +
		"88 00 " + sum + flags + "000000 20010db8000000000000000000000064" + rest)
}

var (
	probe      = arp("0001", "02000000000a", "00000000", "000000000000", "c0000264")
	host       = na("20", "f85b", "02 01 02000000000a")
	solicit, _ = hex.DecodeString(strings.ReplaceAll("3333ff000064 02000000000a 86dd 60000000 0020 3a ff"+
		"fe80000000000000000000000000000a ff0200000000000000000001ff000064"+
		"87 00 4a89 00000000 20010db8000000000000000000000064 01 01 02000000000a", " ", ""))
)

func TestFrames(t *testing.T) {
	claim := func(ip netip.Addr) neighbor.Claim { return neighbor.Claim{IP: ip, MAC: mac} }
	tests := []struct {
		name      string
		got, want [][]byte
	}{
		{"IPv4", neighbor.Announcement(claim(vip4), false), [][]byte{garp("0001"), garp("0002")}},
		{"IPv6 host", neighbor.Announcement(claim(vip6), false), [][]byte{host}},
		{"IPv6 router", neighbor.Announcement(claim(vip6), true), [][]byte{na("a0", "785b", "02 01 02000000000a")}},
		{"IPv4 question", [][]byte{neighbor.Question(mac, own6, vip4)}, [][]byte{probe}},
		{"IPv6 question", [][]byte{neighbor.Question(mac, own6, vip6)}, [][]byte{solicit}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !slices.EqualFunc(tt.got, tt.want, slices.Equal) {
				t.Errorf("\n got %x\nwant %x", tt.got, tt.want)
			}
		})
	}
}

// claims are frames with what they claim, "" for nothing.
var claims = []struct {
	name  string
	frame []byte
	want  string
}{
	{"ARP request of its own address", garp("0001"), "192.0.2.100 02:00:00:00:00:0a"},
	{"ARP reply of its own address", garp("0002"), "192.0.2.100 02:00:00:00:00:0a"},
	{"ARP request for another", arp("0001", "02000000000b", "c0000264", "000000000000", "c0000201"), "192.0.2.100 02:00:00:00:00:0b"},
	{"ARP probe", probe, ""},
	{"ARP without padding", garp("0001")[:42], "192.0.2.100 02:00:00:00:00:0a"},
	{"ARP cut", garp("0001")[:41], ""},
	{"ARP of another operation", garp("0003"), ""},
	{"ARP from a multicast address", arp("0002", "01000000000b", "c0000264", "000000000000", "c0000264"), ""},
	{"ARP from nobody", arp("0002", "000000000000", "c0000264", "000000000000", "c0000264"), ""},
	{"ARP of token ring", unhex("ffffffffffff02000000000a0806 0006" + hex.EncodeToString(garp("0001")[16:])), ""},
	{"advertisement", host, "2001:db8::64 02:00:00:00:00:0a"},
	{"advertisement without option", na("20", "fc6e", ""), "2001:db8::64 02:00:00:00:00:0a"},
	{"advertisement of another's address", na("20", "f85a", "02 01 02000000000b"), "2001:db8::64 02:00:00:00:00:0b"},
	{"advertisement corrupted", na("20", "f85c", "02 01 02000000000a"), ""},
	{"advertisement from behind a router", func() []byte { b := slices.Clone(host); b[21] = 254; return b }(), ""},
	{"advertisement cut", host[:80], ""},
	{"advertisement with an empty option", na("20", "f85c", "0200 02000000000a"), ""},
	{"solicitation", solicit, ""},
	{"another protocol", append(unhex("ffffffffffff02000000000a0800"), garp("0001")[14:]...), ""},
	{"nothing", nil, ""},
}

func show(c neighbor.Claim, ok bool) string {
	if !ok {
		return ""
	}
	return fmt.Sprintf("%v %v", c.IP, c.MAC)
}

func TestParse(t *testing.T) {
	for _, tt := range claims {
		t.Run(tt.name, func(t *testing.T) {
			if got := show(neighbor.Parse(tt.frame)); got != tt.want {
				t.Errorf("claims %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzParse: whatever is believed can be said again, and then means the same.
func FuzzParse(f *testing.F) {
	for _, tt := range claims {
		f.Add(tt.frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := neighbor.Parse(b)
		if !ok {
			return
		}
		for _, frame := range neighbor.Announcement(c, false) {
			if again, ok := neighbor.Parse(frame); !ok || again != c {
				t.Fatalf("%x: %v became %v, %v", b, c, again, ok)
			}
		}
		if !takes(t, neighbor.Filter(c.IP.Is6(), []netip.Addr{c.IP}), b) {
			t.Fatalf("%x claims %v, but the filter would have dropped it", b, c)
		}
	})
}

func takes(t *testing.T, p []bpf.Instruction, frame []byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(p)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// TestFilter: of ARP and IPv6 respectively, only what claims a listed address passes.
func TestFilter(t *testing.T) {
	var many []netip.Addr // more than a program holds
	for i := range 2000 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	others := []netip.Addr{netip.MustParseAddr("192.0.2.101"), netip.MustParseAddr("2001:db8::65")}
	other6 := slices.Clone(host)
	other6[74+3] = 0x66
	tests := []struct {
		name  string
		v6    bool
		addrs []netip.Addr
		frame []byte
		want  bool
	}{
		{"ARP listed", false, append(others, vip4), garp("0002"), true},
		{"ARP not listed", false, others, garp("0002"), false},
		{"ARP probe", false, []netip.Addr{vip4}, probe, false},
		{"ARP, too many to list", false, many, garp("0002"), true},
		{"advertisement listed", true, append(others, vip6), host, true},
		{"advertisement not listed", true, others, host, false},
		{"advertisement of another", true, []netip.Addr{vip6}, other6, false},
		{"solicitation", true, []netip.Addr{vip6}, solicit, false},
		{"short", true, []netip.Addr{vip6}, host[:60], false},
		{"no addresses", false, nil, garp("0002"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := takes(t, neighbor.Filter(tt.v6, tt.addrs), tt.frame); got != tt.want {
				t.Errorf("passes: %v, want %v", got, tt.want)
			}
		})
	}
	if p, err := bpf.Assemble(neighbor.Filter(true, many)); err != nil || len(p) > 4096 {
		t.Errorf("%d instructions, %v", len(p), err)
	}
}
