// Command demo shows an edge of three nodes at work: who owns the VIP, what is
// in the kernel, who answers requests, and what a client sees of a take-over.
//
//	bin/demo           show it, in a minute or two, and end
//	bin/demo -hold     keep it up afterwards, to play with
//
// It starts itself again by test/vm, in namespaces of this machine where the
// kernel has IPVS and in an emulated machine elsewhere, and builds the edge
// there. Everything shown is the output of the command shown, and is checked:
// the exit status is 0 only if all was as it should be.
package main
