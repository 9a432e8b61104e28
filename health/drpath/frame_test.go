package drpath

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

var (
	ours   = mac{2, 0, 0, 0, 0, 1}
	theirs = mac{2, 0, 0, 0, 0, 2}
)

func segmentOf(src, dst string, flags byte) segment {
	return segment{src: netip.MustParseAddrPort(src), dst: netip.MustParseAddrPort(dst), seq: 0x01020304, flags: flags}
}

// The wanted bytes were checked by tcpdump -vv: its parser and checksums, not
// ours.
func TestFrames(t *testing.T) {
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"syn": {
			segmentOf("192.0.2.1:61000", "192.0.2.10:80", flagSYN).frame(ours, theirs),
			"020000000002 020000000001 0800 4500002c000040004006b6c0c0000201c000020a ee48005001020304000000006002040021180000 02040218",
		},
		"rst6": {
			segmentOf("[2001:db8::1]:61000", "[2001:db8::10]:80", flagRST).frame(ours, theirs),
			"020000000002 020000000001 86dd 6000000000140640 20010db8000000000000000000000001 20010db8000000000000000000000010 ee4800500102030400000000500404005dbf0000",
		},
		"arp": {
			whoHas(ours, broadcast, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.11"), false),
			"ffffffffffff 020000000001 0806 0001080006040001 020000000001 c0000201 000000000000 c000020b",
		},
		"arp probe": {
			whoHas(ours, theirs, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.10"), true),
			"020000000002 020000000001 0806 0001080006040001 020000000001 00000000 000000000000 c000020a",
		},
		"solicitation": {
			whoHas(ours, broadcast, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::a:b0c"), false),
			"3333ff0a0b0c 020000000001 86dd 6000000000203aff 20010db8000000000000000000000001 ff0200000000000000000001ff0a0b0c 870005ff00000000 20010db80000000000000000000a0b0c 0101020000000001",
		},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(tt.want), []byte(" "), nil)))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(tt.got, want) {
				t.Errorf("got  %x\nwant %x", tt.got, want)
			}
		})
	}
}

func reply(b []byte) []byte {
	b = bytes.Clone(b)
	b[21] = arpReply
	return b
}

func advertisement() []byte {
	b := whoHas(theirs, ours, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::10"), false)
	b[54] = ndAdvertise
	b[78] = ndOptTarget
	return b
}

// frames are one of each, and whether they are for us.
func frames() map[string]struct {
	frame []byte
	want  kind
} {
	arp := whoHas(theirs, broadcast, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.11"), false)
	fragment := segmentOf("192.0.2.10:80", "192.0.2.1:61000", flagSYN|flagACK).frame(theirs, ours)
	fragment[21] = 1
	cut := segmentOf("192.0.2.10:80", "192.0.2.1:61000", flagSYN|flagACK).frame(theirs, ours)
	type row = struct {
		frame []byte
		want  kind
	}
	return map[string]row{
		"syn-ack":       {segmentOf("192.0.2.10:80", "192.0.2.1:61000", flagSYN|flagACK).frame(theirs, ours), synAck},
		"syn-ack 6":     {segmentOf("[2001:db8::10]:80", "[2001:db8::1]:65535", flagSYN|flagACK).frame(theirs, ours), synAck},
		"reset":         {segmentOf("192.0.2.10:80", "192.0.2.1:61000", flagRST|flagACK).frame(theirs, ours), reset},
		"reset 6":       {segmentOf("[2001:db8::10]:80", "[2001:db8::1]:61000", flagRST).frame(theirs, ours), reset},
		"data":          {segmentOf("192.0.2.10:80", "192.0.2.1:61000", flagACK).frame(theirs, ours), 0},
		"other port":    {segmentOf("192.0.2.10:80", "192.0.2.1:60999", flagSYN|flagACK).frame(theirs, ours), 0},
		"fragment":      {fragment, 0},
		"cut":           {cut[:40], 0},
		"arp request":   {arp, 0},
		"arp reply":     {reply(arp), claim},
		"solicitation":  {whoHas(theirs, broadcast, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), false), 0},
		"advertisement": {advertisement(), claim},
		"empty":         {nil, 0},
	}
}

func TestParse(t *testing.T) {
	vm, err := bpf.NewVM(filter)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range frames() {
		t.Run(name, func(t *testing.T) {
			e, ok := parse(tt.frame)
			// The filter lets other ports through to nobody, parse does not
			// know them.
			if passed, err := vm.Run(tt.frame); err != nil || (passed > 0) != (tt.want != 0) {
				t.Errorf("the filter passed %d bytes, %v", passed, err)
			}
			if name == "other port" {
				return
			}
			if e.kind != tt.want || ok != (tt.want != 0) {
				t.Errorf("got %+v %v, want kind %d", e, ok, tt.want)
			}
			if ok && e.mac != theirs {
				t.Errorf("from %s", e.mac)
			}
		})
	}
}

// What parse takes must have passed the filter, if it was for one of our
// ports: or answers would be lost in the kernel.
func FuzzParse(f *testing.F) {
	for _, row := range frames() {
		f.Add(row.frame)
	}
	vm, err := bpf.NewVM(filter)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := parse(b)
		if !ok {
			return
		}
		if e.kind == claim && !e.addr.IsValid() || e.kind != claim && (!e.src.IsValid() || !e.dst.IsValid()) {
			t.Errorf("%x became %+v", b, e)
		}
		if e.kind != claim && e.dst.Port() < firstPort {
			return
		}
		if n, err := vm.Run(b); err != nil || n == 0 {
			t.Errorf("the filter drops %x, which is %+v", b, e)
		}
	})
}
