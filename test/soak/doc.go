// Package soak keeps a whole edge under load for as long as it is told, breaks
// something of it again and again, and looks whether what must always hold does:
//
//	make soak SOAKTIME=20m            this kernel, XDP, a real API server
//	make soak SOAKTIME=20m GUEST=1    a guest with IPVS, whose clock and memory are ours
//
// Which fault comes next, on which node, is drawn from a seed that the first
// line prints; the same seed draws the same faults. Watched all along: one
// owner, no failed request but in the measured gap behind a fault that may cost
// some, routes that are up to date again, and nothing that grows. One node's
// processes are never ended, so that what they lose a little of at each fault
// shows. A line a minute tells how it goes, a table at the end how it went.
//
//	SEED=N           draws the faults of an earlier run
//	FAULTS=RE        only faults whose names match
//	ROUTES=folder    manifests in place of the API server
package soak
