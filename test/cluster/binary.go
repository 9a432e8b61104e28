package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// sourceDir is where the control plane's module stands in the repository.
const sourceDir = "test/cluster/controlplane"

// Binary returns the path of the control plane's executable, a static one, and
// builds it when the cache has none for the present sources. The cache is
// $PORTICO_CACHE, or portico in the user's cache folder. As a first build takes
// minutes, a line to notice says so.
//
// It must be called below the repository's root, where go test and go run do.
func Binary(ctx context.Context, notice io.Writer) (string, error) {
	src, err := findSource()
	if err != nil {
		return "", err
	}
	sum, err := hashFolder(src)
	if err != nil {
		return "", err
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(cache, sum, "controlplane")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(binary); err == nil { // built by who held the lock
		return binary, nil
	}

	fmt.Fprintln(notice, "building kube-apiserver, etcd and kube-proxy for the tests, about 5 minutes the first time, into", filepath.Dir(binary))
	if err := build(ctx, src, binary+".new"); err != nil {
		return "", fmt.Errorf("build control plane: %w", err)
	}
	return binary, os.Rename(binary+".new", binary)
}

func build(ctx context.Context, src, output string) error {
	mod, err := os.ReadFile(filepath.Join(src, "go.mod"))
	if err != nil {
		return err
	}
	v := regexp.MustCompile(`k8s\.io/kubernetes v(\d+)\.(\d+)\.\d+`).FindSubmatch(mod)
	if v == nil {
		return errors.New("go.mod requires no k8s.io/kubernetes")
	}
	version := strings.TrimPrefix(string(v[0]), "k8s.io/kubernetes ")
	const pkg = "k8s.io/component-base/version"
	ldflags := fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", pkg, version, v[1], v[2])

	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", output, ".")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// findSource looks for the repository's root upwards from the working folder.
func findSource() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		src := filepath.Join(dir, sourceDir)
		if _, err := os.Stat(filepath.Join(src, "go.mod")); err == nil {
			return src, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find %s: not in %s or above it: %w", sourceDir, wd, fs.ErrNotExist)
		}
	}
}

// hashFolder names the sources by what they hold.
func hashFolder(dir string) (string, error) {
	files, err := os.ReadDir(dir) // sorted
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", f.Name(), len(content), content)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func cacheFolder() (string, error) {
	root := os.Getenv("PORTICO_CACHE")
	if root == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w: set PORTICO_CACHE to a folder", err)
		}
		root = filepath.Join(user, "portico")
	}
	return filepath.Join(root, "controlplane"), nil
}

// lock waits for the exclusive lock on path, so that packages tested in
// parallel build once.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
