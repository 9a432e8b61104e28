// Package cluster runs a real kube-apiserver over a real etcd for tests and
// demonstrations: no kubelet, no controllers, no containers, ready in about
// four seconds. What a controller would write, the caller writes: Services,
// EndpointSlices, Secrets, Ingresses.
//
// The two servers are one binary, built from the module in controlplane, which
// is a module of its own because Kubernetes needs 150 modules and 33 replaces
// that the product must not inherit. It is built once and kept in a cache
// folder outside the repository.
package cluster
