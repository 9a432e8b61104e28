package guard

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

// What stands in the kernel, as `nft list table inet portico_guard` shows it.
const (
	tableName  = "portico_guard"
	beforeIPVS = "before_ipvs"
	hide       = "hide"
	afterIPVS  = "after_ipvs"
	restore    = "restore"
	setPeers   = "peers"
	mapV4      = "services4"
	mapV6      = "services6"
	mapBack    = "protocols"
)

// IPVS hooks in at 98 and 99 (ip_vs_core.c, ip_vs_ops4). Of those at 100 the
// latest to come is the first to run.
const (
	priorityBefore = 97
	priorityAfter  = 100
)

// standIn maps protocols to numbers that IPVS does not know, for as long as it
// looks: those for experiments (RFC 3692) and the reserved one.
var standIn = map[l4.Protocol]byte{l4.TCP: 253, l4.UDP: 254, l4.SCTP: 255}

const lowestStandIn = 253

// A family is where the guard finds things in a packet.
type family struct {
	nfproto byte
	// Offsets in the network header: of the destination, whose size is given
	// too, and of the byte that says the transport protocol.
	daddr, size, protocol uint32
	services              string
	// Registers behind that of the destination, 16 bytes or 4 further on
	// (include/uapi/linux/netfilter/nf_tables.h, nft_registers).
	second, third uint32
}

func families() []family {
	return []family{
		{unix.NFPROTO_IPV4, 16, 4, 9, mapV4, unix.NFT_REG32_01, unix.NFT_REG32_02},
		// An extension header there stands for no protocol of ours: such a
		// packet is not guarded.
		{unix.NFPROTO_IPV6, 24, 16, 6, mapV6, unix.NFT_REG_2, unix.NFT_REG32_05},
	}
}

// A chain is what counts of one.
type chain struct {
	Name string
	// Hooked chains have a priority in the input hook; others are gone to.
	Hooked   bool
	Priority int32
	Rules    [][]expr.Any
}

// chains returns the table's chains, each behind those that it leads to. All
// packets that come to this node pass the first rules of two: they ask little.
func chains() []chain {
	hiding, restoring := chain{Name: hide}, chain{Name: restore}
	for _, f := range families() {
		hiding.Rules = append(hiding.Rules, f.hide())
		restoring.Rules = append(restoring.Rules, f.restore())
	}
	return []chain{
		hiding, {beforeIPVS, true, priorityBefore, [][]expr.Any{fromPeers(hide)}},
		// The peer is asked for again, or a packet that bears such a number from
		// the beginning would become another.
		restoring, {afterIPVS, true, priorityAfter, [][]expr.Any{append([]expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
			&expr.Cmp{Op: expr.CmpOpGte, Register: unix.NFT_REG_1, Data: []byte{lowestStandIn}},
		}, fromPeers(restore)...)}},
	}
}

// fromPeers goes to a chain with what came in Ethernet frames of peers.
func fromPeers(to string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: binary.NativeEndian.AppendUint16(nil, unix.ARPHRD_ETHER)},
		load(expr.PayloadBaseLLHeader, 6, 6, unix.NFT_REG_1),
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: setPeers},
		&expr.Verdict{Kind: expr.VerdictGoto, Chain: to},
	}
}

// hide puts its stand-in in place of the protocol, where the packet is for one
// of the services. The header's checksum stays as it is: nothing looks at it
// before the protocol is back, and then it fits.
func (f family) hide() []expr.Any {
	return append(f.only(),
		load(expr.PayloadBaseNetworkHeader, f.daddr, f.size, unix.NFT_REG_1),
		load(expr.PayloadBaseNetworkHeader, f.protocol, 1, f.second),
		load(expr.PayloadBaseTransportHeader, 2, 2, f.third),
		translate(f.services),
		&expr.Counter{},
		f.write(),
	)
}

// restore puts the protocol back.
func (f family) restore() []expr.Any {
	return append(f.only(),
		load(expr.PayloadBaseNetworkHeader, f.protocol, 1, unix.NFT_REG_1),
		translate(mapBack),
		f.write(),
	)
}

func (f family) only() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{f.nfproto}},
	}
}

func (f family) write() expr.Any {
	return &expr.Payload{
		OperationType: expr.PayloadWrite, SourceRegister: unix.NFT_REG_1,
		Base: expr.PayloadBaseNetworkHeader, Offset: f.protocol, Len: 1,
	}
}

func load(base expr.PayloadBase, offset, size, register uint32) expr.Any {
	return &expr.Payload{OperationType: expr.PayloadLoad, DestRegister: register, Base: base, Offset: offset, Len: size}
}

// translate replaces the first register by what a map has for it.
func translate(name string) expr.Any {
	return &expr.Lookup{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, IsDestRegSet: true, SetName: name}
}

// sets returns the table's sets, empty but for the one that never changes,
// whose members come along.
func sets(t *nftables.Table) (all []*nftables.Set, back []nftables.SetElement) {
	service := func(addr nftables.SetDatatype) nftables.SetDatatype {
		return nftables.MustConcatSetType(addr, nftables.TypeInetProto, nftables.TypeInetService)
	}
	for p, n := range standIn {
		back = append(back, nftables.SetElement{Key: []byte{n}, Val: []byte{byte(p)}})
	}
	return []*nftables.Set{
		{Table: t, Name: setPeers, KeyType: nftables.TypeEtherAddr, KeyByteOrder: binaryutil.BigEndian},
		{Table: t, Name: mapV4, KeyType: service(nftables.TypeIPAddr), Concatenation: true, IsMap: true, DataType: nftables.TypeInetProto, KeyByteOrder: binaryutil.BigEndian},
		{Table: t, Name: mapV6, KeyType: service(nftables.TypeIP6Addr), Concatenation: true, IsMap: true, DataType: nftables.TypeInetProto, KeyByteOrder: binaryutil.BigEndian},
		{Table: t, Name: mapBack, KeyType: nftables.TypeInetProto, IsMap: true, DataType: nftables.TypeInetProto, KeyByteOrder: binaryutil.BigEndian},
	}, back
}

// element is a service as a member of its map: each part of the key takes
// whole words.
func (s Service) element() nftables.SetElement {
	key := append(s.Addr.Addr().AsSlice(), byte(s.Protocol), 0, 0, 0)
	key = binary.BigEndian.AppendUint16(key, s.Addr.Port())
	return nftables.SetElement{Key: append(key, 0, 0), Val: []byte{standIn[s.Protocol]}}
}

// parseService is the inverse of element, and false for what it never makes.
func parseService(e nftables.SetElement) (Service, bool) {
	n := len(e.Key) - 8
	if n < 0 {
		return Service{}, false
	}
	a, ok := netip.AddrFromSlice(e.Key[:n])
	s := Service{l4.Protocol(e.Key[n]), netip.AddrPortFrom(a, binary.BigEndian.Uint16(e.Key[n+4:]))}
	return s, ok && len(e.Val) > 0 && e.Val[0] == standIn[s.Protocol]
}
