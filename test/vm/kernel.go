package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
)

// A kernel is an unpacked linux-image package in the cache:
//
//	vmlinux               what qemu boots
//	lib/modules/RELEASE   its modules, with modules.dep
type kernel struct {
	dir     string
	release string // as uname -r says it
}

func (k kernel) image() string   { return filepath.Join(k.dir, "vmlinux") }
func (k kernel) modules() string { return filepath.Join(k.dir, "lib/modules", k.release) }

// openKernel checks that dir holds a kernel.
func openKernel(dir string) (kernel, error) {
	deps, err := filepath.Glob(filepath.Join(dir, "lib/modules/*/modules.dep"))
	if err != nil {
		return kernel{}, err
	}
	if len(deps) != 1 {
		return kernel{}, fmt.Errorf("kernel %s: want lib/modules of one release, found %d", dir, len(deps))
	}
	k := kernel{dir, filepath.Base(filepath.Dir(deps[0]))}
	_, err = os.Stat(k.image())
	return k, err
}

// findKernel returns the kernel in dir, or else the newest in the cache, or
// else fetches one.
func findKernel(ctx context.Context, dir, cache string, say func(string, ...any)) (kernel, error) {
	if dir != "" {
		return openKernel(dir)
	}
	home := filepath.Join(cache, "kernel")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return kernel{}, err
	}
	unlock, err := lock(ctx, filepath.Join(home, "lock"), func() { say("waiting for the kernel that another vm is fetching") })
	if err != nil {
		return kernel{}, err
	}
	defer unlock()
	if k, ok := newestKernel(home); ok {
		return k, nil
	}
	return fetchKernel(ctx, home, say)
}

func newestKernel(home string) (kernel, bool) {
	images, _ := filepath.Glob(filepath.Join(home, "[0-9]*", "vmlinux"))
	sort.Slice(images, func(i, j int) bool { return modTime(images[i]) > modTime(images[j]) })
	for _, image := range images {
		if k, err := openKernel(filepath.Dir(image)); err == nil {
			return k, true
		}
	}
	return kernel{}, false
}

func modTime(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.ModTime().UnixNano()
}

// imagePackage finds the kernel that the package linux-image-amd64 stands for.
// The cloud and
// realtime variants do not match; the cloud kernel has no 9p.
var imagePackage = regexp.MustCompile(`(?m)^\s*Depends: (linux-image-([0-9][0-9a-z.+~]*(?:-[0-9]+)?-amd64))$`)

// fetchKernel downloads and unpacks a kernel; nothing is installed. The
// directory gets its name when it is whole.
func fetchKernel(ctx context.Context, home string, say func(string, ...any)) (kernel, error) {
	pkg, release, err := candidate(ctx, say)
	if err != nil {
		return kernel{}, err
	}
	tmp, err := os.MkdirTemp(home, "new-")
	if err != nil {
		return kernel{}, err
	}
	defer os.RemoveAll(tmp)

	say("fetching %s (70 MB, once)", pkg)
	if _, err := command(ctx, tmp, "apt-get", "download", "-o", "APT::Sandbox::User=root", pkg); err != nil {
		return kernel{}, err
	}
	say("unpacking %s", pkg)
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return kernel{}, fmt.Errorf("apt-get download %s: want one package, found %d", pkg, len(debs))
	}
	if _, err := command(ctx, tmp, "dpkg", "-x", debs[0], tmp); err != nil {
		return kernel{}, err
	}
	if err := buildKernel(ctx, tmp, release); err != nil {
		return kernel{}, err
	}
	for _, extra := range []string{debs[0], filepath.Join(tmp, "usr"), filepath.Join(tmp, "boot")} {
		if err := os.RemoveAll(extra); err != nil {
			return kernel{}, err
		}
	}
	dir := filepath.Join(home, release)
	if err := os.RemoveAll(dir); err != nil { // one that openKernel refused
		return kernel{}, err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return kernel{}, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return kernel{}, err
	}
	return openKernel(dir)
}

func candidate(ctx context.Context, say func(string, ...any)) (pkg, release string, err error) {
	for _, fresh := range []bool{false, true} {
		if fresh {
			say("reading the package lists (apt-get update)")
			if _, err := command(ctx, "", "apt-get", "update"); err != nil {
				return "", "", err
			}
		}
		out, err := command(ctx, "", "apt-cache", "depends", "linux-image-amd64")
		if m := imagePackage.FindStringSubmatch(out); err == nil && m != nil {
			return m[1], m[2], nil
		}
	}
	return "", "", errors.New("apt knows no linux-image-amd64: this needs Debian's package lists, or a kernel with -kernel")
}

// buildKernel makes a directory that dpkg -x filled one that boots.
func buildKernel(ctx context.Context, dir, release string) error {
	// Debian 13 and later keep modules below usr.
	if _, err := os.Stat(filepath.Join(dir, "usr/lib/modules")); err == nil {
		if err := os.RemoveAll(filepath.Join(dir, "lib")); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, "usr/lib"), filepath.Join(dir, "lib")); err != nil {
			return err
		}
	}
	if _, err := command(ctx, "", "depmod", "-b", dir, release); err != nil {
		return err
	}
	bz, err := os.ReadFile(filepath.Join(dir, "boot/vmlinuz-"+release))
	if err != nil {
		return err
	}
	image, err := bootImage(ctx, bz)
	if err != nil {
		return fmt.Errorf("vmlinuz-%s: %w", release, err)
	}
	return os.WriteFile(filepath.Join(dir, "vmlinux"), image, 0o644)
}

// bootImage returns the ELF kernel inside a bzImage, which qemu enters
// directly (PVH) and in half the time. A kernel compressed with anything but
// xz boots as it is.
func bootImage(ctx context.Context, bz []byte) ([]byte, error) {
	xz, err := payload(bz)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(xz, []byte("\xfd7zXZ\x00")) {
		return bz, nil
	}
	cmd := exec.CommandContext(ctx, "xz", "-dc")
	cmd.Stdin = bytes.NewReader(xz)
	elf, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("xz: %w", err)
	}
	if !bytes.HasPrefix(elf, []byte("\x7fELF")) {
		return nil, errors.New("payload is no ELF file")
	}
	return elf, nil
}

// payload cuts the compressed kernel out of a bzImage (the kernel's
// Documentation/x86/boot.rst: setup_sects, payload_offset, payload_length).
func payload(bz []byte) ([]byte, error) {
	if len(bz) < 0x250 || string(bz[0x202:0x206]) != "HdrS" {
		return nil, errors.New("no bzImage")
	}
	if v := binary.LittleEndian.Uint16(bz[0x206:]); v < 0x208 {
		return nil, fmt.Errorf("boot protocol %#x has no payload fields", v)
	}
	start := (uint64(bz[0x1f1]) + 1) * 512
	start += uint64(binary.LittleEndian.Uint32(bz[0x248:]))
	end := start + uint64(binary.LittleEndian.Uint32(bz[0x24c:]))
	// The last four bytes are the unpacked size, which the kernel's build
	// appends to every payload.
	if end > uint64(len(bz)) || end < start+4 {
		return nil, errors.New("payload is cut off")
	}
	return bz[start : end-4], nil
}
