package package_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const release = "bookworm"

// rootPackages are what an edge node has before portico comes: systemd, what
// portico's packages depend on, and the tools that this test looks with.
var rootPackages = []string{"dbus", "ethtool", "iproute2", "ipvsadm", "kmod", "curl", "procps", "rpm", "systemd", "systemd-sysv"}

// debianRoot returns a Debian root file system with systemd. It is made once
// and kept; guests see it read-only.
func debianRoot(t *testing.T) string {
	recipe := sha256.Sum256([]byte(release + " " + strings.Join(rootPackages, " ") + " no getty"))
	cache := filepath.Join(cacheDir(t), "debian-root")
	root := filepath.Join(cache, fmt.Sprintf("%x", recipe[:6]))
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	defer lock(t, root+".lock")()
	if _, err := os.Stat(root); err == nil {
		return root
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}

	t.Logf("making a Debian root in %s: some 100 packages, a minute or two, once", root)
	started := time.Now()
	building, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(building)
	command := exec.Command("debootstrap", "--variant=minbase", "--include="+strings.Join(rootPackages, ","),
		release, building, mirror(t))
	command.Env = append(os.Environ(), proxies(t)...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("debootstrap: %v\n%s", err, out)
	}
	if err := os.Chmod(building, 0o755); err != nil {
		t.Fatal(err)
	}
	// Without udev, which a guest has no use for, the login on its console
	// would wait a minute and a half for the device.
	generator := filepath.Join(building, "etc/systemd/system-generators/systemd-getty-generator")
	if err := errors.Join(os.MkdirAll(filepath.Dir(generator), 0o755), os.Symlink("/dev/null", generator)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(building, root); err != nil {
		t.Fatal(err)
	}
	t.Logf("made the root in %v", time.Since(started).Round(time.Second))
	return root
}

// mirror is where this machine's own apt takes the release from.
func mirror(t *testing.T) string {
	out := run(t, "apt-get", "indextargets", "--format", "$(LABEL) $(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")
	for line := range strings.Lines(out) {
		if uri, ok := strings.CutPrefix(line, "Debian "+release+" main "); ok {
			return strings.TrimSpace(uri)
		}
	}
	t.Fatalf("apt has no source for Debian %s main: add one to /etc/apt/sources.list, run apt-get update\n%s", release, out)
	return ""
}

// proxies are those of apt, in the words of the programs that debootstrap uses.
func proxies(t *testing.T) []string {
	var env []string
	for _, scheme := range []string{"http", "https"} {
		out := run(t, "apt-config", "--format", "%v", "dump", "Acquire::"+scheme+"::Proxy")
		if proxy := strings.TrimSpace(out); proxy != "" && proxy != "DIRECT" {
			env = append(env, scheme+"_proxy="+proxy)
		}
	}
	return env
}

func cacheDir(t *testing.T) string {
	if dir := os.Getenv("PORTICO_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("%v; set PORTICO_CACHE", err)
	}
	return filepath.Join(dir, "portico")
}

// lock waits until no other process holds path.
func lock(t *testing.T, path string) (unlock func()) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// run runs a program that must succeed and returns what it said.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := try(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try runs a program and returns what it said; the error holds that too.
func try(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}
