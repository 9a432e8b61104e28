// Package lab builds networks of nodes in network namespaces, to run real
// programs on them and measure what a client sees.
//
//	l := lab.New(t)
//	lan := l.Network("lan")
//	edge := l.Node("edge-1")
//	edge.Attach(lan, "eth0", "172.20.0.113/24", "fd00:20::113/64")
//	client := l.Node("client")
//	client.Attach(lan, "eth0", "172.20.0.200/24")
//
//	edge.Serve(":80", handler)
//	burst := client.Burst(300, 4, lab.Request{URL: "http://172.20.0.113/"})
//
// A namespace has its own interfaces, routes, sysctls below net and IPVS
// tables. Nodes share everything else, above all the file system: give
// programs that keep files their node's Dir. Everything ends with the test,
// and dies with its process even if that is killed: processes by their death
// signal, namespaces with the last that used them.
//
// What goes wrong ends the test through T, so that none of the methods return
// errors. The package knows nothing of portico, needs root, and works on any
// kernel with veth and bridge; NeedIPVS is for tests that need more.
package lab
