// Package vip owns the virtual addresses of this node: it decides by VRRP who
// has them, keeps them on lo everywhere and on the interface at the owner, and
// announces them after a take-over.
//
// Each group has a goroutine that speaks VRRP and touches nothing else, so
// that a slow kernel or a slow neighbour part can delay no advertisement. One
// more goroutine, the keeper, makes the kernel match what the groups decided.
package vip
