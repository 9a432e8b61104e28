// Package shield keeps the list of networks whose packets are denied: those of
// the configuration, and those that operators order at run time, for a while or
// until they are taken back. Orders stand in a file, and outlive restarts.
//
// Who drops the packets is told of the list, and counts them.
package shield
