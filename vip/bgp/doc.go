// Package bgp announces host routes to virtual addresses, and takes none in.
//
// What to announce to whom is decided in plan.go, which is pure; gobgp speaks
// the protocol (RFC 4271), and package bfd watches the lines, since gobgp's own
// BFD takes packets from anywhere. All groups share one Speaker, since a router
// accepts one session from an address.
//
// A process that ends by its own will withdraws its routes and then says
// goodbye, so that routers move its traffic at once. One that dies says
// nothing: its kernel goes on to serve, and routers that know graceful restart
// (RFC 4724) keep its routes until it is back.
package bgp
