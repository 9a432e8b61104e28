// Package config reads portico.toml. Each package of portico owns its section
// and checks it; this package nests the sections, finds unknown keys and
// wrong types, and gives every fault its line and column.
package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/notify"
)

// DefaultPath is where the packages put the file.
const DefaultPath = "/etc/portico/portico.toml"

// File is portico.toml as the operator writes it.
type File struct {
	Node   NodeSection      `toml:"node"`
	Log    LogSection       `toml:"log"`
	Admin  AdminSection     `toml:"admin"`
	VIP    []vip.Section    `toml:"vip"`
	Notify []notify.Section `toml:"notify"`
	L4     l4.Section       `toml:"l4"`
	L7     l7.Section       `toml:"l7"`
}

// A Config is a valid file.
type Config struct {
	Node   Node
	Log    Log
	Admin  Admin
	VIP    vip.Config
	Notify notify.Config
	L4     l4.Config
	L7     l7.Config
	// Proxies tells whether this node has entrypoints, so that a proxy belongs to
	// it, whoever runs that.
	Proxies bool
	// Hash is the first twelve hexadecimal digits of the file's SHA-256: nodes
	// that run the same file have the same.
	Hash string
	// Warnings are what the file names and is not there now: no faults, as it may
	// come.
	Warnings Faults
}

// Load reads and checks the file at path. The error is of type Faults where
// the file can be read but not used, and then names every fault. Of the parts,
// only those for which wants answers true are checked beyond their shape: the
// proxy's process may not read what only the director may.
func Load(path string, wants func(part string) bool) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors begin a file so
	return parse(source{path, data, worldReadable(info)}, wants, readFile)
}

// A source is the file before it is understood.
type source struct {
	path string
	data []byte
	// public says that everybody on the machine may read it.
	public bool
}

// Defaults returns the configuration of an empty file.
func Defaults() (Config, error) {
	return parse(source{}, func(string) bool { return false }, readFile)
}

func parse(src source, wants func(part string) bool, readFile func(string) ([]byte, error)) (Config, error) {
	s := inspect(src.data, reflect.TypeFor[File]())
	var f File
	decoded := toml.Unmarshal(s.sound(src.data), &f)
	if decoded != nil && len(s.faults) == 0 {
		s.decode(src.data, &f)
	}
	var faults, warnings Faults
	to := func(list *Faults) func(key, problem string) {
		return func(key, problem string) {
			if s.faulty(key) {
				return
			}
			p := s.place(key)
			*list = append(*list, Fault{Path: src.path, Line: p.line, Column: p.column, Key: key, Problem: problem})
		}
	}
	bad := to(&faults)
	var c Config
	if decoded == nil {
		c = f.parse(wants, readFile, bad)
		if src.public {
			f.exposed(src.path, bad)
		}
	}
	faults = append(faults, s.faults...)
	if len(faults) == 0 {
		sum := sha256.Sum256(src.data)
		c.Hash = hex.EncodeToString(sum[:6])
		c.L7.Kubernetes.Missing(to(&warnings))
		c.Warnings = warnings
		return c, nil
	}
	for i := range faults {
		faults[i].Path = src.path
	}
	return Config{}, faults.sorted()
}

func (f File) parse(wants func(part string) bool, readFile func(string) ([]byte, error), bad func(key, problem string)) Config {
	c := Config{Node: f.Node.parse(bad), Log: f.Log.parse(bad), Admin: f.Admin.parse(wants, readFile, bad), Proxies: len(f.L7.Entrypoint) > 0}
	if wants("vip") || wants("l4") {
		local := vip.Local{Interface: c.Node.Interface, Ready: f.L7.ReadyAddr(), Proxies: c.Proxies}
		c.VIP = vip.Parse(f.VIP, local, readFile, bad)
		if f.L4.Sync != nil {
			f.L4.Sync.Interface = cmp.Or(f.L4.Sync.Interface, c.Node.Interface)
		}
		c.L4 = l4.Parse(f.L4, c.VIP.Addrs(), bad)
		balancedOnce(c, bad)
	}
	if wants("vip") {
		c.Notify = notify.Parse(f.Notify, slices.Collect(maps.Keys(c.VIP.Addrs())), readFile, bad)
	}
	if wants("l7") {
		c.L7 = l7.Parse(f.L7, readFile, bad)
		c.L7.Zone = c.Node.Zone
	} else if wants("l4") {
		c.L7.Kubernetes = f.L7.Kubernetes.Parse(bad) // where Nodes are read
	}
	nodesReachable(c, bad)
	return c
}

// nodesReachable refuses services that follow Nodes where nothing says whom to
// ask for them.
func nodesReachable(c Config, bad func(key, problem string)) {
	for i, s := range c.L4.Services {
		if s.From.Selector != "" && !c.L7.Kubernetes.API() {
			bad(fmt.Sprintf("l4.service[%d].servers_from", i), "stands without kubeconfig or endpoints in [l7.kubernetes], which say where the API server is")
		}
	}
}

// balancedOnce refuses schedulers that answer differently from node to node
// where several nodes own an address: what one passes on, the next would pass
// on again.
func balancedOnce(c Config, bad func(key, problem string)) {
	bgp := map[netip.Addr]bool{}
	for _, g := range c.VIP.Groups {
		for _, a := range g.Addresses {
			bgp[a.Addr()] = g.Owner == vip.OwnerBGP
		}
	}
	for i, s := range c.L4.Services {
		several := slices.ContainsFunc(s.Addrs, func(a netip.Addr) bool { return bgp[a] })
		if several && s.Scheduler != "mh" {
			bad(fmt.Sprintf("l4.service[%d].scheduler", i), fmt.Sprintf(`%q cannot serve an address with owner = "bgp", for each node that has it would balance anew: allowed is "mh"`, s.Scheduler))
		}
	}
}

// readFile reads a file that the configuration names. One that holds more than
// certificates holds a secret, and is refused where everybody may read it.
func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	public := bytes.Contains(data, []byte("-----BEGIN CERTIFICATE")) && !bytes.Contains(data, []byte("PRIVATE KEY"))
	if !public && worldReadable(info) {
		return nil, fmt.Errorf("%s holds a secret and everybody may read it: chmod o-r %s", path, path)
	}
	return data, nil
}

func worldReadable(info fs.FileInfo) bool { return info.Mode().Perm()&0o004 != 0 }

// exposed tells of secrets that stand in a file that everybody may read.
func (f File) exposed(path string, bad func(key, problem string)) {
	for i, g := range f.VIP {
		if g.VRRP.Password != "" {
			bad(fmt.Sprintf("vip[%d].vrrp.password", i), fmt.Sprintf("everybody may read it here: chmod o-r %s, or name a password_file", path))
		}
	}
	for i, n := range f.Notify {
		for _, key := range n.Secrets() {
			bad(fmt.Sprintf("notify[%d].%s", i, key), "everybody may read it here: chmod o-r "+path)
		}
	}
	for i := range f.L7.Middleware {
		for _, key := range f.L7.Middleware[i].Secrets() {
			bad(fmt.Sprintf("l7.middleware[%d].%s", i, key), "everybody may read it here: chmod o-r "+path)
		}
	}
}
