// Command controlplane is an etcd and a kube-apiserver in one binary, both
// unmodified, for tests that need a real Kubernetes API.
//
// Either ends when its standard input does. A test holds the other end of the
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
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
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
		os.Exit(cli.Run(app.NewAPIServerCommand()))
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: controlplane etcd DATA SOCKET | kube-apiserver FLAGS")
	os.Exit(2)
}
