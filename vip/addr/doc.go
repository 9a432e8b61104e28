// Package addr keeps virtual addresses where they belong: on the loopback
// interface of every node, as a host address that answers no ARP, and on the
// service interface of the node that owns them.
//
// Want and Diff are pure; the kernel is read and changed in addr_linux.go. An
// address put up by this package carries Mark, so that a later process
// recognises it.
package addr
