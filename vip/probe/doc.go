// Package probe finds out whether a virtual address has more owners than one:
// two nodes that do not hear each other's VRRP, a host that somebody gave the
// address, or a backend that has it on lo and answers ARP for it.
//
// It asks the link who has the address, and listens to what is claimed unasked.
// What it hears changes no ownership: that is VRRP's to decide.
//
// What can honestly be said differs. A node that owns an address knows every
// other claimant for a duplicate. A node that does not expects one claimant,
// the owner, whose hardware address VRRP does not tell; it can say only that
// there are several.
package probe
