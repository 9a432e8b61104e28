// Package announce tells a link which hardware address an IP address has now:
// by gratuitous ARP (RFC 5227, section 3) and by unsolicited Neighbor
// Advertisements (RFC 4861, section 7.2.6).
//
// The frames leave by the interface that serves the address, wherever the
// address itself stands.
package announce
