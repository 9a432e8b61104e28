package doctor

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/daemon"
)

// A NamedFile is a file that the configuration names.
type NamedFile struct{ Key, Path string }

// ReadNode reads the configuration at path and asks the running services.
func ReadNode(ctx context.Context, path string) *Node {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	n := &Node{Files: os.DirFS("/"), ConfigPath: path, Now: time.Now()}
	n.Config, n.ConfigErr = config.Load(path, func(string) bool { return true })
	sockets := n.Config.Admin
	if n.ConfigErr != nil {
		defaults, err := config.Defaults()
		if err != nil {
			n.ConfigErr = err
		}
		sockets = defaults.Admin
	}
	if data, err := os.ReadFile(path); err == nil {
		n.Named = namedFiles(data)
	}
	n.Director, n.DirectorErr = status(ctx, sockets.Socket)
	if n.Director != nil && n.Director.L7 != nil {
		n.Proxy = n.Director // one process runs everything
		return n
	}
	n.Proxy, n.ProxyErr = status(ctx, sockets.L7Socket)
	return n
}

func status(ctx context.Context, socket string) (*daemon.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var s daemon.Status
	if err := admin.Get(ctx, socket, "/api/v1/status", &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// namedFiles returns the files that a configuration names: the values of keys
// that end in _file, and of kubeconfig.
func namedFiles(data []byte) []NamedFile {
	var tree map[string]any
	if toml.Unmarshal(data, &tree) != nil {
		return nil // the check of the configuration tells
	}
	var out []NamedFile
	walkFiles("", tree, &out)
	slices.SortFunc(out, func(a, b NamedFile) int { return strings.Compare(a.Path+a.Key, b.Path+b.Key) })
	return slices.CompactFunc(out, func(a, b NamedFile) bool { return a.Path == b.Path })
}

func walkFiles(key string, v any, out *[]NamedFile) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			walkFiles(strings.TrimPrefix(key+"."+k, "."), v[k], out)
		}
	case []any:
		for _, e := range v {
			walkFiles(key, e, out)
		}
	case string:
		if (strings.HasSuffix(key, "_file") || strings.HasSuffix(key, ".kubeconfig")) && filepath.IsAbs(v) {
			*out = append(*out, NamedFile{key, filepath.Clean(v)})
		}
	}
}

// unreadable returns the first file with a key that begins so which this user
// may not read, "" where there is none.
func (n *Node) unreadable(prefix string) string {
	for _, f := range n.Named {
		if !strings.HasPrefix(f.Key, prefix) {
			continue
		}
		file, err := n.Files.Open(inFS(f.Path))
		if errors.Is(err, fs.ErrPermission) {
			return f.Path
		}
		if err == nil {
			_ = file.Close() // nothing was asked of it
		}
	}
	return ""
}

// inFS is a path as fs.FS names it.
func inFS(path string) string { return strings.TrimPrefix(path, "/") }

// interfaces are those that carry virtual addresses, in order and each once.
func (n *Node) interfaces() []string {
	names := map[string]bool{}
	for _, g := range n.Config.VIP.Groups {
		names[g.Interface] = true
	}
	delete(names, "")
	return slices.Sorted(maps.Keys(names))
}

// addresses are the virtual addresses.
func (n *Node) addresses() []netip.Addr {
	var out []netip.Addr
	for _, g := range n.Config.VIP.Groups {
		for _, p := range g.Addresses {
			out = append(out, p.Addr())
		}
	}
	return out
}
