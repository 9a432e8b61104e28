// Package vrrp speaks the Virtual Router Redundancy Protocol, version 2 (RFC
// 3768) and version 3 (RFC 9568), over IPv4 and IPv6.
//
// Packet is the codec, Filter decides which datagrams concern a virtual router,
// Guard authenticates them where keys are given, Machine is the state machine,
// all four pure; Conn is the raw socket. The states carry the names of RFC 9568,
// Initialize, Backup and Active, and Fault is keepalived's.
package vrrp
