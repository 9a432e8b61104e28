package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bzImage is a kernel file around a payload, with one setup sector.
func bzImage(payload []byte) []byte {
	bz := make([]byte, 1024, 1024+len(payload)+8)
	bz[0x1f1] = 1
	copy(bz[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(bz[0x206:], 0x20f)
	binary.LittleEndian.PutUint32(bz[0x248:], 4)
	binary.LittleEndian.PutUint32(bz[0x24c:], uint32(len(payload)+4))
	bz = append(bz, "code"...)
	bz = append(bz, payload...)
	return append(bz, "size"...)
}

func xz(t *testing.T, data string) []byte {
	cmd := exec.Command("xz", "-c")
	cmd.Stdin = strings.NewReader(data)
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("no xz")
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBootImage(t *testing.T) {
	elf := "\x7fELF and so on"
	for _, tt := range []struct {
		name      string
		bz        []byte
		want, err string
	}{
		{name: "xz holds the ELF file", bz: bzImage(xz(t, elf)), want: elf},
		{name: "another compression boots as it is", bz: bzImage([]byte("\x28\xb5\x2f\xfd")), want: string(bzImage([]byte("\x28\xb5\x2f\xfd")))},
		{name: "xz holds something else", bz: bzImage(xz(t, "script")), err: "no ELF"},
		{name: "cut off", bz: bzImage(xz(t, elf))[:1030], err: "cut off"},
		{name: "not a kernel", bz: make([]byte, 4096), err: "no bzImage"},
		{name: "empty", err: "no bzImage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bootImage(t.Context(), tt.bz)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %q, %v, want error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Fatalf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func FuzzPayload(f *testing.F) {
	f.Add(bzImage([]byte("payload")))
	f.Add(bzImage(nil))
	f.Fuzz(func(t *testing.T, bz []byte) {
		if p, err := payload(bz); err == nil && !bytes.Contains(bz, p) {
			t.Fatal("payload is not part of the image")
		}
	})
}

func TestImagePackage(t *testing.T) {
	for depends, want := range map[string]string{
		"linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n":             "6.1.0-56-amd64",
		"linux-image-amd64\n  Depends: linux-image-6.12.48+deb13-amd64\n":        "6.12.48+deb13-amd64",
		"linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n": "",
		"linux-image-amd64\n": "",
	} {
		var got string
		if m := imagePackage.FindStringSubmatch(depends); m != nil {
			got = m[2]
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", depends, got, want)
		}
	}
}

func TestLoadOrder(t *testing.T) {
	const dep = `kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio-legacy.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio-legacy.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko
kernel/net/9p/9pnet.ko:
`
	const builtin = "kernel/fs/overlayfs/overlay.ko\n"
	for _, tt := range []struct {
		want  string // modules asked for
		order string
		err   string
	}{
		{want: "virtio_ring", order: "virtio_ring"},
		{want: "virtio_pci", order: "virtio_ring virtio virtio_legacy virtio_pci"},
		{want: "virtio_legacy 9p virtio_pci", order: "virtio_ring virtio virtio_legacy 9pnet 9p virtio_pci"},
		{want: "overlay virtio_ring", order: "virtio_ring"},
		{want: "zfs", err: "no module zfs"},
	} {
		files, err := loadOrder(strings.NewReader(dep), strings.NewReader(builtin), strings.Fields(tt.want))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got %v, want %q", tt.want, err, tt.err)
			}
			continue
		}
		var names []string
		for _, f := range files {
			names = append(names, moduleName(f))
		}
		if diff := cmp.Diff(tt.order, strings.Join(names, " ")); err != nil || diff != "" {
			t.Errorf("%s: %v %s", tt.want, err, diff)
		}
	}
}
