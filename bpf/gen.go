// Package bpf holds portico_l4, the XDP program that forwards the packets of a
// service in direct routing, and loads it. The program decides as IPVS's mh
// scheduler would, so that one may stand in for the other at any time.
//
// It knows no configuration: user space fills its maps (maps.h describes them)
// and sets its tunables (tunables.h) and the sizes of the maps before it loads
// the program, for which it needs CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON: without
// the last the verifier forbids what parsing headers of several lengths takes.
// Linux 6.1 is the oldest kernel that it is tested with.
//
// SYN cookies are the business of the node that has the connection, whoever owns
// the address: whoever answers a SYN for another would have to shift the sequence
// numbers of all that follows, of which in direct routing the director sees one
// half. portico_l4_cookies is portico_l4, and shows the SYNs that stay here to
// portico_answer; portico_admit has a socket take who answers (cookie.bpf.c).
// The first runs wherever portico_l4 does; portico_answer needs Linux 6.0, and
// portico_admit 6.8.
package bpf

// One compiler, so that the object is the same wherever it is made; it belongs
// to Debian 12 and 13.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel L4 l4.bpf.c -- -mcpu=v3 -Wall -Wextra -Werror
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -no-global-types Cookie cookie.bpf.c -- -mcpu=v3 -Wall -Wextra -Werror
