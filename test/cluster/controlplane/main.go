// Command controlplane is an etcd, a kube-apiserver and a kube-proxy in one
// binary, all unmodified, for tests that need a real Kubernetes API, or a node
// of a real cluster.
//
// Each ends when its standard input does. A test holds the other end of the
// pipe, so nothing outlives a test that was killed, whichever thread started it.
package main

import (
	"fmt"
	"io"
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()

	verb := os.Args[1]
	os.Args = os.Args[1:] // what the command of kube-apiserver parses
	switch verb {
	case "etcd":
		if err := etcd(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "etcd:", err)
			os.Exit(1)
		}
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: controlplane etcd DATA SOCKET | kube-apiserver FLAGS | kube-proxy FLAGS")
	os.Exit(2)
}
