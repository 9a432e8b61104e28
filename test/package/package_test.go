// Package package_test installs portico's packages into a Debian machine with
// systemd, as an operator would, and takes them away again.
package package_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Where a process of this test runs: here, in the guest as the operator, or in
// one of the guest's namespaces as a client or a Pod.
const (
	dirEnv  = "PORTICO_PACKAGE_DIR"  // set in the guest: where the packages are
	roleEnv = "PORTICO_PACKAGE_ROLE" // set in a namespace; a client's says whose
)

const (
	oldVersion = "0.0.1"
	newVersion = "0.0.2"
)

func TestMain(m *testing.M) {
	switch role, argument, _ := strings.Cut(os.Getenv(roleEnv), " "); role {
	case "":
		status := m.Run()
		if packages != "" {
			os.RemoveAll(packages)
		}
		os.Exit(status)
	case "server":
		servePod(argument)
	case "pass":
		if err := holdPass(argument, os.Stdin); err != nil {
			panic(err)
		}
	case "client":
		makeLoad(argument, os.Stdin, os.Stdout)
	default:
		panic("no such role: " + role)
	}
}

// TestPackages has a deb and then an rpm live on one machine: a Debian root with
// systemd, booted in a guest, where this test runs once more. To try one of them,
// run TestPackages/rpm.
func TestPackages(t *testing.T) {
	if dir := os.Getenv(dirEnv); dir != "" {
		makeNetwork(t)
		inNamespace(t, "pod", "server "+podPort)
		inNamespace(t, "other", "server "+otherPort)
		// Modules stay when the package goes, and bring sysctls along.
		run(t, "modprobe", "--all", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_lc", "ip_vs_wlc", "ip_vs_sh", "ip_vs_mh")
		if t.Run("deb", func(t *testing.T) { operate(t, deb{}, dir) }) {
			t.Run("rpm", func(t *testing.T) { operate(t, rpm{}, dir) })
		}
		return
	}
	if runtime.GOARCH != "amd64" || os.Getuid() != 0 {
		if os.Getenv("PORTICO_LAB") != "" {
			t.Fatal("needs root on amd64")
		}
		t.Skip("needs root on amd64")
	}
	root := debianRoot(t)
	dir := built(t)
	repository(t, "go", "build", "-o", dir+"/vm", "./test/vm")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run(t, "cp", self, dir+"/package.test")
	which := flag.Lookup("test.run").Value.String()
	if !strings.Contains(which, "/") {
		which = "^TestPackages$"
	}

	started := time.Now()
	guest := exec.CommandContext(t.Context(), dir+"/vm", "-root", root, "-share", dir, "--",
		dir+"/package.test", "-test.v", "-test.count=1", "-test.run="+which)
	guest.Env = append(os.Environ(), dirEnv+"="+dir)
	guest.Stdout, guest.Stderr = t.Output(), t.Output()
	// Interrupted, vm takes its guest down with it.
	guest.Cancel = func() error { return guest.Process.Signal(os.Interrupt) }
	guest.WaitDelay = 10 * time.Second
	if err := guest.Run(); err != nil {
		t.Fatalf("in the guest: %v", err)
	}
	t.Logf("the guest took %v", time.Since(started).Round(time.Second))
}

// packages is where built put them; TestMain removes it.
var packages string

// built returns a directory with both packages of both versions, which the
// first to ask for it makes: not below /tmp, which a booting Debian empties,
// since the guest has it under the same path.
func built(t *testing.T) string {
	if packages != "" {
		return packages
	}
	parent := filepath.Join(cacheDir(t), "package-test")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(parent, "")
	if err != nil {
		t.Fatal(err)
	}
	packages = dir
	buildPackage(t, dir, oldVersion)
	buildPackage(t, dir, newVersion)
	return dir
}

// buildPackage makes both packages of one version as `make package` does.
func buildPackage(t *testing.T, dir, version string) {
	binary := filepath.Join(dir, "portico-"+version)
	repository(t, "go", "build", "-trimpath", "-o", binary, "-ldflags",
		"-s -w -X github.com/portico-lb/portico/cmd/internal/daemon.Version="+version, "./cmd/portico")
	repository(t, "packaging/build", "v"+version, binary, dir)
}

// repository runs a program at the top of the repository.
func repository(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = "../.."
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
}
