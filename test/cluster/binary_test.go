package cluster_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/portico-lb/portico/test/cluster"
)

// It also makes the executable for tests in an emulated machine, which would
// build it for hours.
func TestBinary(t *testing.T) {
	if os.Getenv("PORTICO_CLUSTER") != "1" {
		t.Skip("needs a control plane: run it by make test-cluster, or with PORTICO_CLUSTER=1")
	}
	binary, err := cluster.Binary(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "etcd DATA SOCKET | kube-apiserver FLAGS | kube-proxy FLAGS") {
		t.Errorf("without arguments: %v: %s", err, out)
	}
}
