// Package bpf holds portico_l4, the XDP program that forwards the packets of a
// service in direct routing, and loads it. The program decides as IPVS's mh
// scheduler would, so that one may stand in for the other at any time.
//
// It knows no configuration: user space fills its maps (maps.h describes them)
// and sets its tunables (tunables.h) before it is loaded.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel L4 l4.bpf.c -- -mcpu=v3 -Wall -Wextra -Werror
