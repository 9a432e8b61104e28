package doctor

import (
	"bytes"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// A process is one of the machine's.
type process struct {
	pid int
	// name is what the kernel calls it, at most 15 bytes.
	name string
	args []string
}

// processes lists those that may be seen: with hidepid, only one's own.
func processes(files fs.FS) []process {
	entries, err := fs.ReadDir(files, "proc")
	if err != nil {
		return nil
	}
	var out []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		name, err := fs.ReadFile(files, "proc/"+e.Name()+"/comm")
		if err != nil {
			continue // it ended
		}
		p := process{pid: pid, name: strings.TrimSpace(string(name))}
		line, _ := fs.ReadFile(files, "proc/"+e.Name()+"/cmdline") // of kernel threads there is none
		for arg := range bytes.SplitSeq(bytes.TrimRight(line, "\x00"), []byte{0}) {
			p.args = append(p.args, string(arg))
		}
		out = append(out, p)
	}
	return out
}

// unitOf is the service of the system in whose cgroup a process runs, "" where it
// runs in none: in a session, a container, or a service of a user's own manager.
func unitOf(files fs.FS, pid int) (unit string) {
	eachLine(files, "proc/"+strconv.Itoa(pid)+"/cgroup", func(line string) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // ID:CONTROLLERS:PATH (cgroups(7))
		if len(f) < 3 || f[1] != "" && f[1] != "name=systemd" || strings.HasPrefix(f[2], "/user.slice/") {
			return
		}
		if name := path.Base(f[2]); strings.HasSuffix(name, ".service") {
			unit = name
		}
	})
	return unit
}
