// Package neighbor speaks of which hardware address an IP address has: ARP
// (RFC 826, RFC 5227) and Neighbor Discovery (RFC 4861) as Ethernet frames,
// the filter that lets through only what concerns given addresses, and the
// packet sockets that carry them.
package neighbor
