// Command vm runs a program under a real kernel that has IPVS.
//
// It boots Debian's kernel in qemu, over this machine's own file system, and
// runs one program in it as root. Paths are the same inside as outside, so a
// test binary that go just built, ipvsadm and keepalived are simply there:
//
//	go test -exec "$PWD/bin/vm" ./l4/ipvs
//	bin/vm -- ipvsadm -Ln
//	bin/vm -out results -- sh -c 'cat /proc/net/ip_vs > $PORTICO_OUT/ip_vs'
//	bin/vm -tty -- bash
//
// What the guest writes stays in the guest's memory, except below the
// directory given with -out. The program sees PATH, HOME and PORTICO_*, and
// besides them PORTICO_VM=1 and PORTICO_LAB=1: here everything a kernel test
// wants is present, so a skip is a failure.
//
// The exit status is the program's own, 124 if it took too long, and 125 if
// the guest did not boot, went down under the program, or could not be built.
package main
