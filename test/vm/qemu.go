package main

import (
	"fmt"
	"strings"
)

// A share is a directory of this machine that the guest mounts over 9p.
type share struct {
	tag      string
	path     string
	writable bool
}

// A machine says what qemu is to emulate.
type machine struct {
	kernel, initrd string
	mem, cpus      int  // MB, number
	counted        bool // time is counted in instructions
	shares         []share
	tty            bool // the program's terminal is qemu's standard input and output
	unit           string
	forwards       []string // HOST:GUEST, ports of TCP
}

// Descriptors that qemu inherits, one for each direction the guest talks in.
const (
	consoleFD = 3 + iota
	stdoutFD
	stderrFD
)

// args is qemu's command line. It has no disk, firmware or, without ports to
// forward, network card to wait for, and emulates the processor: the machines
// this must run on have no KVM that works.
func (m machine) args() []string {
	threads := "multi"
	if m.counted {
		threads = "single"
	}
	args := []string{
		"-M", "pc", "-accel", "tcg,thread=" + threads, "-cpu", "max",
		"-m", fmt.Sprint(m.mem), "-smp", fmt.Sprint(m.cpus),
		"-nodefaults", "-no-user-config", "-nic", m.nic(), "-display", "none", "-no-reboot",
		"-kernel", m.kernel, "-initrd", m.initrd, "-append", m.commandLine(),
		"-device", "virtio-serial-pci",
	}
	if m.counted {
		// Whoever sleeps wakes in the time it asked for.
		args = append(args, "-icount", "shift=0,sleep=on")
	}
	args = append(args, output("console", consoleFD)...)
	args = append(args, "-serial", "chardev:console")
	if m.tty {
		args = append(args, "-chardev", "stdio,id=tty,signal=off", "-device", "virtconsole,chardev=tty")
	}
	args = append(args, output("stdout", stdoutFD)...)
	args = append(args, "-device", "virtserialport,chardev=stdout,name=stdout")
	args = append(args, output("stderr", stderrFD)...)
	args = append(args, "-device", "virtserialport,chardev=stderr,name=stderr")
	for _, s := range m.shares {
		// multidevs=remap keeps inode numbers apart when the directory spans
		// file systems.
		fsdev := fmt.Sprintf("local,id=%s,path=%s,security_model=none,multidevs=remap", s.tag, strings.ReplaceAll(s.path, ",", ",,"))
		if !s.writable {
			fsdev += ",readonly=on"
		}
		args = append(args, "-fsdev", fsdev, "-device", fmt.Sprintf("virtio-9p-pci,fsdev=%s,mount_tag=%s", s.tag, s.tag))
	}
	return args
}

// nic is the guest's network card, which lets nothing out.
func (m machine) nic() string {
	if len(m.forwards) == 0 {
		return "none"
	}
	s := "user,model=virtio-net-pci,restrict=on"
	for _, f := range m.forwards {
		host, guest, _ := strings.Cut(f, ":")
		s += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%s-10.0.2.15:%s", host, guest)
	}
	return s
}

// output is a one-way channel into an inherited descriptor. Without append
// qemu would truncate it, which a pipe refuses.
func output(id string, fd int) []string {
	return []string{
		"-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, fd),
		"-chardev", fmt.Sprintf("file,id=%s,path=/dev/fdset/%d,append=on", id, fd),
	}
}

// commandLine is the kernel's. A panic restarts at once, which ends qemu. Nobody
// logs in on the console; without udev, systemd would wait for it 90 seconds.
func (m machine) commandLine() string {
	s := "console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable random.trust_cpu=on cryptomgr.notests audit=0"
	if m.unit != "" {
		s += " systemd.getty_auto=no systemd.unit=" + m.unit
	}
	return s
}
