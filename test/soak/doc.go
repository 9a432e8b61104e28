// Package soak keeps a whole edge under load for as long as it is told, breaks
// something of it again and again, and looks whether what must always hold does:
//
//	make soak SOAKTIME=20m
//
// Which fault comes next, on which node, is drawn from a seed that the first
// line prints; the same seed draws the same faults. Invariants are watched all
// along: one owner, no failed request but in the moments after a fault that
// may cost some, nothing that grows without end.
package soak
