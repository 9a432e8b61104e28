// Package edge builds a whole edge in a laboratory: nodes that each run the
// real binary as director and proxy, one VIP, Pods behind routes, and a client
// that knows the VIP only.
//
//	l := lab.New(t)
//	e := edge.New(t, l, edge.Options{Scheduler: "mh", Advert: "1s"})
//	e.Start()
//	owner := e.WaitReady(30 * time.Second)
//	t.Logf("%s", owner.IPVS())
//	t.Logf("%s", e.Client.Burst(300, 4, e.Request()))
//
// Pods are HTTP servers inside the test itself. They answer with their own
// name and with that of the edge node which asked, so that a client knows both.
//
// The package imports nothing of the product: it drives the binary, as an
// operator would. It serves tests and the demonstration alike.
package edge
