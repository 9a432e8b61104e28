package mh

import "slices"

// Size is how many rows the table has in a kernel that was built with the
// default, as Debian's is.
const Size = 4093

// The rows by CONFIG_IP_VS_MH_TAB_INDEX, which runs from 8 to 17 (ip_vs_mh.c,
// primes; net/netfilter/ipvs/Kconfig).
var sizes = [...]int{251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071}

const lowestIndex = 8

// SizeOf returns how many rows the table has in a kernel that was built with
// CONFIG_IP_VS_MH_TAB_INDEX=index; ok is false for an index that no kernel
// can have.
func SizeOf(index int) (size int, ok bool) {
	if index < lowestIndex || index >= lowestIndex+len(sizes) {
		return 0, false
	}
	return sizes[index-lowestIndex], true
}

// weightBits is how many bits of a weight count in a table of size rows, and 0
// if no kernel has such a table.
func weightBits(size int) int {
	i := slices.Index(sizes[:], size)
	if i < 0 {
		return 0
	}
	return (lowestIndex + i) / 2
}
