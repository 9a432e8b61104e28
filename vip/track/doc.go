// Package track follows what a group of virtual addresses depends on: a
// network interface, the local proxy, a command's verdict, a number in a file.
//
// A Tracker asks each distinct Watch once, however many groups have a Rule
// about it, and publishes what it knows as one Snapshot. Judge says what the
// rules of one group make of that: an amount to add to its priority, or a
// fault. The semantics are keepalived's (track_interface, track_script,
// track_file, weight in keepalived.conf(5)).
package track
