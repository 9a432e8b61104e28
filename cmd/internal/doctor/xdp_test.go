package doctor

import (
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
)

// TestXDPWithoutDirector tells the program that a director left from that of
// somebody else.
func TestXDPWithoutDirector(t *testing.T) {
	l := lab.New(t)
	us := l.Node("us")
	us.Attach(l.Network("lan"), "us0", "192.0.2.11/24")
	n := &Node{Files: os.DirFS("/")}
	n.Config.Node.RunDir = us.Dir()
	n.Config.VIP.Groups = []vip.Group{{Interface: "us0"}}
	us.MountBPF(string(daemon.Pins(n.Config)))
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Apache-2.0", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Close()
	us.Do(func() {
		us0, err := netlink.LinkByName("us0")
		if err != nil {
			t.Fatal(err)
		}
		held, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: us0.Attrs().Index, Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if got := checkXDP(t.Context(), n); len(got) != 1 || !strings.HasPrefix(got[0].Found, "another program") {
			t.Errorf("of somebody else: %+v", got)
		}
		layout := string(daemon.Pins(n.Config)) + "/12345678"
		if err := os.Mkdir(layout, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := held.Pin(layout + "/link-us0"); err != nil {
			t.Fatal(err)
		}
		if got := checkXDP(t.Context(), n); len(got) != 1 || got[0].Found != "us0 (veth) takes native XDP" {
			t.Errorf("of the director: %+v", got)
		}
	})
}
