// Package guard keeps packets from bouncing between directors.
//
// In direct routing a packet that one director has balanced reaches the server
// with the virtual address still in it. A server that is a director as well,
// and has the service in its kernel though it does not own the address, would
// balance it again: to and fro, until the time to live runs out. That services
// stand on the owner alone is the first line against it. This is the second: a
// frame that comes from the hardware address of another director was balanced
// there, and goes to the local socket past IPVS, whatever is programmed here.
//
// It is an nftables table of our own with two chains in the input hook, one
// before IPVS and one behind it (ip_vs_core.c: priorities 98 and 99). The
// first puts another number in place of the transport protocol's, one that
// IPVS leaves alone as unknown (ip_vs_in_hook); the second puts the right one
// back. All else, firewalls, connection tracking and reassembly, has run by
// then, and sees the packet as it came.
//
// The other way considered was a firewall mark and an IPVS service for it with
// this node as its only server, which stops new connections from bouncing as
// well. But IPVS looks for a connection's entry before it looks at marks, so
// that those of a time when this node was the owner go first, every connection
// costs an entry here too, a mark has to be taken out of the operator's, and
// ipvsadm shows services nobody wrote.
package guard
