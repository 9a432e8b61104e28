// Package bfd watches the line to neighbors on the same link (RFC 5880, RFC
// 5881), in asynchronous mode and without authentication.
//
// Packet is the codec and session the state machine, both pure; Watcher runs
// one session for each neighbor over UDP. What a dead line means is up to the
// caller.
package bfd
