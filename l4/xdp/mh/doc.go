// Package mh computes what the kernel's Maglev scheduler chooses, bit for
// bit: the table of a service and the server of a packet, as IPVS with
// scheduler mh has them (net/netfilter/ipvs/ip_vs_mh.c, since Linux 4.18).
// Whoever uses it may stand in for IPVS, or step back, and every connection
// stays with its server.
//
// # The hash
//
// One hash serves for all, of one number of 32 bits, with one of two keys that
// are constants of the kernel:
//
//	n = offset + port + fold(address)         modulo 2^32, host order
//	H(key, n) = hsiphash_1u32(n, key)         lib/siphash.c, 64 bit kernels
//
//	first key   {0x9e3779b1, 0x9e3779b1}      2654435761 twice
//	second key  {0x9e37a52c, 0x9e37a52c}      2654446892 twice
//
// fold is an IPv4 address as a number, or the exclusive or of the four words
// of an IPv6 address (an IPv4 address that is kept in IPv6 form must be
// unmapped first: folding ::ffff:a.b.c.d gives another number).
// hsiphash is SipHash-1-3, its 64 bits cut to the lower 32: for four bytes of
// message, with both key words k alike,
//
//	v0 = 0x736f6d6570736575 ^ k               b = 4<<56 | n
//	v1 = 0x646f72616e646f6d ^ k
//	v2 = 0x6c7967656e657261 ^ k
//	v3 = 0x7465646279746573 ^ k
//	v3 ^= b, one round, v0 ^= b, v2 ^= 0xff, three rounds, v0 ^ v1 ^ v2 ^ v3
//
// A 32 bit kernel has HalfSipHash in its place, and one of the other byte
// order hashes the bytes of n in reverse: their tables differ, and neither is
// meant here.
//
// # The table
//
// It has a prime number of rows that is built into the kernel
// (CONFIG_IP_VS_MH_TAB_INDEX; the default 12 stands for 4093): see SizeOf.
// It follows from the servers in the kernel's order, and from the address,
// port and last weight of each; how it came to them does not matter, since
// the kernel builds it anew whenever a server is added, changed or deleted.
//
// Each server has an order of preference over the rows: it begins at row
// H(first, port+fold) modulo size, and goes on by 1 + H(second, port+fold)
// modulo (size-1) rows at a time, around the end. The port counts here whether
// or not the service has mh-port. In rounds, each server in turn takes the next
// rows of its preference that are free, as many as it has turns, until all
// rows are taken:
//
//	gcd   = greatest common divisor of all last weights but 0
//	bits  = CONFIG_IP_VS_MH_TAB_INDEX / 2, 6 of 4093 rows
//	shift = bits that (largest last weight / gcd) takes, less bits; 0 at least
//	turns = last weight / gcd >> shift, but 1 at least; none for last weight 0
//
// So weights count with six bits, and servers for which port + address gives
// the same sum have the same preferences. Without a server that has turns the
// table is empty. More servers than rows are refused by the kernel, which then
// keeps the table it had: no function of the servers, and Table has none.
//
// # Last weight
//
// It is the weight a server was added with, and then the latest that was not 0
// (ip_vs_ctl.c, last_weight). A server that is set to 0 keeps its rows, one
// that is added with 0 has none, and one that is deleted and added again with
// 0 has none either, although the kernel keeps the rest of what it knew of it
// for two minutes. The kernel does not tell a last weight.
//
// # The choice
//
// The row of a packet is H(first, port+fold) modulo size, of the client's
// address; its port counts only with mh-port (flag 0x10), else it is 0. For an
// ICMP error both are the client's in the header it quotes. If the server of
// that row has weight 0, or more connections than its upper threshold, the
// packet is refused, or with mh-fallback (flag 0x08) the kernel looks on: for
// i = 0, 1 ... size-1 at row
//
//	H(first, ((row + i) modulo size) + port + fold) modulo size
//
// until it meets a server that can be chosen. Each step is a hash of its own,
// and may meet the same server many times: with one server of n left, n steps
// are usual.
//
// One client never gets so far: whose port is 20, which is FTP's for data
// (ip_vs_core.c, ip_vs_schedule). IPVS schedules nothing from it and lets its
// packets pass to the machine itself, with every service and protocol.
//
// # From IPVS
//
// The order of the servers is the kernel's: a new one goes in front of all
// others (ip_vs_ctl.c, __ip_vs_update_dest), and netlink, ipvsadm and so
// l4.State, read or wanted, list them front first. That order is the input
// here as it stands; what l4.Plan wants is ascending by address, a sorry
// server first, and l4.Diff programs it from the back. For each
// l4.Destination d,
//
//	Dest{Addr: d.Addr, Weight: d.Weight, LastWeight: d.Weight or else d.Base}
//
// that is Base only where Weight is 0. A Base that is 0 there is not known, or
// says in a wanted state of another scheduler that it does not matter; for mh
// Plan always gives it, except for a server that drains: that one's Base is
// what the reconciler recalls, and while it recalls none, the table is known
// to the kernel alone.
package mh
