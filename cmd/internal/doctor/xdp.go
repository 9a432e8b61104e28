package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/cmd/internal/daemon"
)

// An xdpFact is an interface that carries virtual addresses.
type xdpFact struct {
	name, driver string
	mtu          int
	// attached is the number of a program that stands there, 0 for none; ours
	// says that a director has put it there, which may have ended.
	attached uint32
	ours     bool
	missing  bool
	// features are what the kernel says that the driver does with XDP; told,
	// whether it says so.
	features uint64
	told     bool
}

// native reports whether the interface takes a program in its driver, and sends
// from it.
func (f xdpFact) native() bool {
	const basic = 1 << 0 // NETDEV_XDP_ACT_BASIC (include/uapi/linux/netdev.h)
	if f.told {
		return f.features&basic != 0
	}
	return slices.Contains(nativeDrivers, f.driver)
}

// nativeDrivers attach programs natively and send from them (XDP_TX), as of
// Linux 6.1, which does not say so itself; those that are not listed take the
// generic hook.
var nativeDrivers = []string{
	"bnxt_en", "cxgb4", "dpaa2-eth", "ena", "enetc", "fec", "gve", "hv_netvsc", "i40e", "ice", "igb", "igc", "ixgbe", "ixgbevf", "mana", "mlx4_en", "mlx5_core",
	"mvneta", "mvpp2", "nfp", "octeontx2", "qede", "r8169", "sfc", "stmmac", "thunder-nic", "tsnep", "tun", "veth", "virtio_net", "xen-netfront",
}

// maxNativeMTU is what fits into a page beside what XDP keeps there.
const maxNativeMTU = 3498

// checkXDP: whether the interfaces take XDP, which services may be passed on
// by instead of IPVS.
func checkXDP(_ context.Context, n *Node) []Finding {
	var facts []xdpFact
	for _, name := range n.interfaces() {
		f := xdpFact{name: name}
		l, err := netlink.LinkByName(name)
		if f.missing = err != nil; err == nil {
			f.mtu = l.Attrs().MTU
			f.driver = l.Type()
			if x := l.Attrs().Xdp; x != nil && x.Attached {
				f.attached = x.ProgId
				f.ours = carries(n.Director, name) || daemon.Pins(n.Config).Runs(x.ProgId)
			}
			f.features, f.told = xdpFeatures(l.Attrs().Index)
		}
		if target, err := fs.ReadLink(n.Files, path.Join("sys/class/net", name, "device/driver")); err == nil {
			f.driver = path.Base(target)
		}
		facts = append(facts, f)
	}
	if len(facts) == 0 {
		return skip("no interface carries a virtual address: no [[vip]] in " + n.ConfigPath)
	}
	return judgeXDP(facts)
}

// carries reports whether a director that runs has its program on an interface.
func carries(director *daemon.Status, name string) bool {
	if director == nil || director.XDP == nil {
		return false
	}
	for _, i := range director.XDP.Interfaces {
		if i.Name == name {
			return i.Mode != ""
		}
	}
	return false
}

func judgeXDP(facts []xdpFact) []Finding {
	var out []Finding
	for _, f := range facts {
		switch {
		case f.missing:
			out = append(out, skipped("interface "+f.name+" does not exist"))
		case f.attached != 0 && !f.ours:
			out = append(out, warn(fmt.Sprintf("another program (id %d) stands in the XDP hook of %s", f.attached, f.name), "there is room for one: IPVS does the work", fmt.Sprintf("bpftool prog show id %d", f.attached)))
		case !f.native():
			out = append(out, ok(fmt.Sprintf("%s (%s) takes generic XDP only, which is little faster than IPVS", f.name, f.driver))...)
		case f.mtu > maxNativeMTU:
			out = append(out, ok(fmt.Sprintf("%s (%s) has MTU %d, above what native XDP takes (%d) without fragments", f.name, f.driver, f.mtu, maxNativeMTU))...)
		default:
			out = append(out, ok(fmt.Sprintf("%s (%s) takes native XDP", f.name, f.driver))...)
		}
	}
	return out
}

// xdpFeatures asks the kernel what the driver of an interface does with XDP
// (Documentation/netlink/specs/netdev.yaml); before Linux 6.3 it does not tell.
func xdpFeatures(index int) (features uint64, told bool) {
	const (
		getDevice    = 1 // NETDEV_CMD_DEV_GET
		attrIndex    = 1 // NETDEV_A_DEV_IFINDEX
		attrFeatures = 3 // NETDEV_A_DEV_XDP_FEATURES
	)
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return 0, false
	}
	ask := nl.NewNetlinkRequest(int(family.ID), 0)
	// struct genlmsghdr, all of it: of the library's two of the four bytes are
	// anything, which this family refuses.
	header := []byte{getDevice, 1, 0, 0}
	ask.AddRawData(append(header, nl.NewRtAttr(attrIndex, nl.Uint32Attr(uint32(index))).Serialize()...))
	answers, err := ask.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil || len(answers) != 1 || len(answers[0]) < len(header) {
		return 0, false
	}
	attrs, err := nl.ParseRouteAttrAsMap(answers[0][len(header):])
	if value := attrs[attrFeatures].Value; err == nil && len(value) == 8 {
		return nl.NativeEndian().Uint64(value), true
	}
	return 0, false
}
