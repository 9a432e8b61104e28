package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A file of the initial RAM disk; a name that ends in a slash is a directory.
type file struct {
	name string
	mode uint32
	data []byte
}

// writeCPIO writes an archive in the "newc" format (the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst).
func writeCPIO(w io.Writer, files []file) error {
	var b bytes.Buffer
	for i, f := range append(files, file{name: "TRAILER!!!"}) {
		mode := f.mode | 0o100000
		if strings.HasSuffix(f.name, "/") {
			mode = f.mode | 0o040000
		}
		name := strings.TrimSuffix(f.name, "/")
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			i+1, mode, 0, 0, 1, 0, len(f.data), 0, 0, 0, 0, len(name)+1, 0)
		b.WriteString(name)
		b.WriteByte(0)
		pad(&b)
		b.Write(f.data)
		pad(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}

// initrd builds the archive the kernel starts from: busybox, the boot modules
// and init, with conf beside it.
func initrd(ctx context.Context, k kernel, init, conf []byte) ([]file, error) {
	bb, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	files := []file{
		{name: "bin/", mode: 0o755},
		{name: "dev/", mode: 0o755},
		{name: "proc/", mode: 0o755},
		{name: "sys/", mode: 0o755},
		{name: "modules/", mode: 0o755},
		{name: "bin/busybox", mode: 0o755, data: bb},
		{name: "init", mode: 0o755, data: init},
		{name: "conf", mode: 0o644, data: conf},
	}
	order, err := bootOrder(k)
	if err != nil {
		return nil, err
	}
	for i, name := range order {
		data, err := readModule(ctx, filepath.Join(k.modules(), name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{fmt.Sprintf("modules/%02d-%s.ko", i, moduleName(name)), 0o644, data})
	}
	return files, nil
}

func bootOrder(k kernel) ([]string, error) {
	dep, err := os.Open(filepath.Join(k.modules(), "modules.dep"))
	if err != nil {
		return nil, err
	}
	defer dep.Close()
	builtin, err := os.Open(filepath.Join(k.modules(), "modules.builtin"))
	if err != nil {
		return nil, err
	}
	defer builtin.Close()
	return loadOrder(dep, builtin, bootModules)
}

// readModule reads a module, unpacked.
func readModule(ctx context.Context, path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".xz") {
		return os.ReadFile(path)
	}
	data, err := exec.CommandContext(ctx, "xz", "-dc", path).Output()
	if err != nil {
		return nil, fmt.Errorf("xz %s: %w", path, err)
	}
	return data, nil
}
