package package_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// direct is a service whose server is another machine, carried by XDP.
const direct = `
[[l4.service]]
name   = "direct"
vip    = "edge"
port   = ` + otherPort + `
server = [{ address = "` + otherIP + `" }]

[l4]
dataplane = "xdp"
`

// pinDir is where XDP's link and maps outlive the director.
const pinDir = "/run/portico/bpf"

// carryByXDP lets the director in its sandbox load its program, and keep it from
// then on: every director that follows adopts it.
func carryByXDP(t *testing.T) {
	write(t, configFile, config+second+direct)
	run(t, "systemctl", "reload", "portico")
	eventually(t, "XDP on edge0", func() bool {
		out, err := try(t.Context(), "portico", "status")
		return err == nil && strings.Contains(out, "xdp: native on edge0")
	})
	serves(t)
	carried(t)
	if program(t) == "" || pins(t) == "" {
		t.Errorf("edge0 has program %q, pinned are %q", program(t), pins(t))
	}
}

// carried checks that XDP, and not IPVS which stands behind it, sends the
// client's packets to the other server.
func carried(t *testing.T) {
	t.Helper()
	const requests, packets = 5, 4 // each has SYN, ACK, request and FIN at least
	eventually(t, "packets that XDP sends on", func() bool {
		before := sent(t)
		for range requests {
			out, err := try(t.Context(), "ip", "netns", "exec", "client", "curl", "-sS", "--max-time", "5", "http://"+vip+":"+otherPort+"/")
			if err != nil || out != "hello from the Pod\n" {
				t.Logf("%v: %q", err, out)
				return false
			}
		}
		return sent(t) >= before+requests*packets
	})
}

// sent is how many packets XDP has sent on.
func sent(t *testing.T) uint64 {
	t.Helper()
	var node struct {
		Director struct {
			XDP struct{ Verdicts map[string]uint64 }
		}
	}
	if err := json.Unmarshal([]byte(run(t, "portico", "status", "--json")), &node); err != nil {
		t.Fatal(err)
	}
	return node.Director.XDP.Verdicts["send"]
}

// program is what `ip link` says of edge0's XDP program, "" where it has none.
func program(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(run(t, "ip", "-details", "link", "show", "edge0")) {
		if strings.Contains(line, "prog/xdp") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// pins lists the link and the maps with their inodes, which a pin made anew
// changes.
func pins(t *testing.T) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(pinDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		json.NewEncoder(&list).Encode([]any{path, info.Sys().(*syscall.Stat_t).Ino})
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return list.String()
}
