// Package notify tells people and programs of the transitions of VIP groups:
// by mail, by a webhook, by a command.
//
// Nothing waits for it. The transitions are read from the groups' histories,
// each target has its own goroutine and a bounded queue, and what a target
// cannot take in time is counted, not kept.
package notify
