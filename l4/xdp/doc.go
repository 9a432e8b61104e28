// Package xdp carries the packets of services before IPVS sees them: a program
// at the driver of the interface rewrites the hardware address and sends the
// frame on, by the choice that IPVS would have made.
//
// It decides in pure code, as package l4 does: Plan says what the program's
// maps should hold, from the services that l4 wants and from who is known to
// be where on the link; Diff says which operations turn what they hold into
// that. What they hold is read from the kernel, where maps and program outlive
// the director: pinned below a directory of a BPF file system, they are
// adopted by the next one. Only a fence ends what nobody adopts: the director
// says several times a second that it lives, and where it does not the program
// hands every packet to IPVS, which holds the same services all the while.
//
// What the program does with a packet is in package bpf.
package xdp
