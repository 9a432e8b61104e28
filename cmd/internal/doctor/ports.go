package doctor

import (
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A wantedPort is one that portico listens on; key says which line asks for it.
type wantedPort struct {
	network, listen, key string
	runs                 bool // its part of portico runs
}

// A listener is a socket that somebody listens on.
type listener struct {
	network string // tcp or udp
	port    int
	// loopback says that it has an address of this machine's own alone.
	loopback bool
	inode    string
	holder
}

// A holder is the process of a socket; pid is 0 where it is not to be seen.
type holder struct {
	program string
	pid     int
	// unit is the service that it runs in, "" where systemd started none.
	unit string
}

func (h holder) String() string { return fmt.Sprintf("%s (process %d)", h.program, h.pid) }

// stop is how to be rid of it. A program's name is no unit's: python3 has none.
func (h holder) stop() []string {
	if h.unit != "" {
		return []string{"systemctl disable --now " + h.unit}
	}
	return []string{fmt.Sprintf("ps -o pid,ppid,user,args -p %d", h.pid), fmt.Sprintf("kill %d", h.pid)}
}

// checkPorts: the ports of the configuration are portico's, or free.
func checkPorts(_ context.Context, n *Node) []Finding {
	var want []wantedPort
	for _, e := range n.Config.L7.Entrypoints {
		key := "l7.entrypoint " + e.Name
		want = append(want, wantedPort{"tcp", e.Listen, key, n.Proxy != nil})
		if e.HTTP.HTTP3 {
			want = append(want, wantedPort{"udp", e.Listen, key, n.Proxy != nil})
		}
	}
	if l := n.Config.L7.ReadyListen; l != "" && len(n.Config.L7.Entrypoints) > 0 {
		want = append(want, wantedPort{"tcp", l, "l7.ready_listen", n.Proxy != nil})
	}
	if l := n.Config.Admin.Listen; l != "" {
		want = append(want, wantedPort{"tcp", l, "admin.listen", n.Director != nil})
	}
	if len(want) == 0 {
		return skip("no port is wanted by " + n.ConfigPath)
	}
	return judgePorts(want, readListeners(n.Files))
}

// tcpListen is the state of a listening socket in /proc/net/tcp, and udpOpen
// that of one that takes datagrams from anybody (include/net/tcp_states.h).
const tcpListen, udpOpen = "0A", "07"

func readListeners(files fs.FS) []listener {
	var out []listener
	for file, state := range map[string]string{"tcp": tcpListen, "tcp6": tcpListen, "udp": udpOpen, "udp6": udpOpen} {
		eachLine(files, "proc/thread-self/net/"+file, func(line string) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != state {
				return
			}
			addr, hexPort, _ := strings.Cut(f[1], ":")
			port, err := strconv.ParseUint(hexPort, 16, 16)
			if err == nil {
				out = append(out, listener{network: file[:3], port: int(port), loopback: loopback(addr), inode: f[9]})
			}
		})
	}
	holders := socketHolders(files)
	for i := range out {
		out[i].holder = holders[out[i].inode]
	}
	slices.SortFunc(out, func(a, b listener) int { return a.port - b.port })
	return out
}

// loopback reads an address as /proc/net/tcp has it: words in the machine's
// order, which on all that portico is built for is little-endian.
func loopback(addr string) bool {
	b, err := hex.DecodeString(addr)
	if err != nil {
		return false
	}
	for i := 0; i+4 <= len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	return net.IP(b).IsLoopback()
}

// socketHolders maps the inodes of sockets to processes, of others' only for
// root.
func socketHolders(files fs.FS) map[string]holder {
	out := map[string]holder{}
	for _, p := range processes(files) {
		dir := path.Join("proc", strconv.Itoa(p.pid), "fd")
		entries, _ := fs.ReadDir(files, dir) // of another user's process there are none, of one that ends some
		h := holder{p.name, p.pid, unitOf(files, p.pid)}
		for _, e := range entries {
			target, err := fs.ReadLink(files, path.Join(dir, e.Name()))
			if inode, isSocket := strings.CutPrefix(target, "socket:["); err == nil && isSocket {
				out[strings.TrimSuffix(inode, "]")] = h
			}
		}
	}
	return out
}

func judgePorts(want []wantedPort, have []listener) []Finding {
	var out []Finding
	var fine []string
	for _, w := range want {
		host, text, err := net.SplitHostPort(w.listen)
		port, errPort := strconv.Atoi(text)
		if err != nil || errPort != nil {
			continue // a path, which no other program has
		}
		name := fmt.Sprintf("%s port %d (%s)", strings.ToUpper(w.network), port, w.key)
		i := slices.IndexFunc(have, func(l listener) bool {
			return l.network == w.network && l.port == port && (!l.loopback || host == "" || strings.HasPrefix(host, "127."))
		})
		switch {
		case i < 0 && w.runs:
			out = append(out, fail(name+" is not listened on, though portico runs", "clients are refused", "journalctl -u portico -u portico-l7 -n 50", "systemctl reload portico"))
		case i < 0:
			fine = append(fine, name+" is free")
		case have[i].program == "portico", have[i].pid == 0 && w.runs:
			fine = append(fine, name+" is portico's")
		case have[i].program == "systemd": // it keeps portico's through a restart
			fine = append(fine, name+" is kept by systemd")
		case have[i].pid == 0:
			out = append(out, warn(name+" is taken, by whom is not to be seen: only root may, and not of multipath TCP", "portico does not start beside it", fmt.Sprintf("ss -lnp 'sport = :%d'", port)))
		default:
			out = append(out, fail(name+" is held by "+have[i].String(), "portico does not start beside it", have[i].stop()...))
		}
	}
	return orOK(out, strings.Join(fine, ", "))
}
