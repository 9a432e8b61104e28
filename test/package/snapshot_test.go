package package_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
)

// A snapshot is all of a machine that a package may change.
type snapshot struct {
	Files     []string
	Users     []string
	Addresses []string
	IPVS      string
	BPF       []string // mounts, and programs of ours
	Sysctls   []string
}

// elsewhere is what others write, or what stays by custom: package managers'
// own records, logs, the kernel's files.
var elsewhere = []string{
	"/proc", "/sys", "/dev", "/tmp", "/root", "/run/vm", "/run/systemd", "/run/udev", "/run/netns", "/run/log", "/run/user",
	"/var/log", "/var/cache", "/var/backups", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/systemd", "/var/tmp",
	"/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock",
}

func takeSnapshot(t *testing.T) snapshot {
	t.Helper()
	return snapshot{
		Files:     files(t),
		Users:     slices.Concat(sortedLines(read(t, "/etc/passwd")), sortedLines(read(t, "/etc/group"))),
		Addresses: sortedLines(run(t, "ip", "-brief", "address")),
		IPVS:      run(t, "ipvsadm", "-Sn"),
		BPF:       bpf(t),
		Sysctls:   sysctls(t),
	}
}

// leftBehind fails the test for whatever differs between two snapshots.
func leftBehind(t *testing.T, before, after snapshot) {
	t.Helper()
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("left behind (-before +after):\n%s", d)
	}
}

// bpf lists the BPF file systems, and the programs in the kernel with our name,
// on an interface or held by anything else.
func bpf(t *testing.T) []string {
	list := slices.DeleteFunc(sortedLines(read(t, "/proc/self/mounts")), func(line string) bool {
		return !strings.Contains(line, " bpf ")
	})
	for id := ebpf.ProgramID(0); ; {
		var err error
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, fs.ErrNotExist) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went meanwhile
		} else if err != nil {
			t.Fatal(err)
		}
		info, err := p.Info()
		if err == nil && strings.HasPrefix(info.Name, "portico") {
			list = append(list, info.Name)
		}
		if err := errors.Join(err, p.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func files(t *testing.T) []string {
	var list []string
	err := filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if slices.Contains(elsewhere, path) || path == os.Getenv(dirEnv) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err == nil {
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// sysctls returns those of the network that hold still by themselves.
func sysctls(t *testing.T) []string {
	out := sortedLines(run(t, "sysctl", "--all", "--ignore", "--pattern", `^net\.`))
	return slices.DeleteFunc(out, func(s string) bool {
		return strings.HasPrefix(s, "net.netfilter.nf_conntrack_count")
	})
}

func sortedLines(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	slices.Sort(lines)
	return lines
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
