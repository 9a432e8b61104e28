// Package announce tells a link which hardware address the addresses of this
// node have: by gratuitous ARP (RFC 5227, section 3) and by unsolicited
// Neighbor Advertisements (RFC 4861, section 7.2.6). It says so when the node
// takes an address over, again five seconds later, once a minute from then on,
// and whenever neighbours may have learnt otherwise.
//
// The frames leave by the interface that serves the address, wherever the
// address itself stands.
package announce
