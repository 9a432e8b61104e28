package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// An AdminSection is [admin] as the operator writes it.
type AdminSection struct {
	Socket    string   `toml:"socket"`
	L7Socket  string   `toml:"l7_socket"`
	Listen    *string  `toml:"listen"`
	L7Listen  string   `toml:"l7_listen"`
	Hosts     []string `toml:"hosts"`
	TokenFile string   `toml:"token_file"`
	Debug     bool     `toml:"debug"`
}

// An Admin says where status is asked for.
type Admin struct {
	// Socket is the director's unix socket. Default /run/portico/portico.sock.
	Socket string
	// L7Socket is that of a proxy that runs as its own process. Default
	// /run/portico-l7/portico.sock.
	L7Socket string
	// Listen is where the director serves dashboard, API and metrics by TCP, for
	// the whole node; empty is nowhere. Default 127.0.0.1:9180.
	Listen string
	// L7Listen is the same of a proxy that runs as its own process. Default
	// nowhere, since the director shows what it does.
	L7Listen string
	// Hosts are the names that both are asked by, in lower case.
	Hosts []string
	// Token is what TokenFile holds: whoever shows it may give orders by TCP.
	// Empty without a TokenFile: nobody may.
	Token, TokenFile string
	// Debug opens /debug.
	Debug bool
}

// defaultListen is for this node alone: whoever wants more says so.
const defaultListen = "127.0.0.1:9180"

// shortestToken is what nobody guesses, in characters.
const shortestToken = 16

func (s AdminSection) parse(wants func(part string) bool, readFile func(string) ([]byte, error), bad func(key, problem string)) Admin {
	a := Admin{
		Socket: s.Socket, L7Socket: s.L7Socket, Listen: defaultListen, L7Listen: s.L7Listen, TokenFile: s.TokenFile, Debug: s.Debug,
	}
	if a.Socket == "" {
		a.Socket = "/run/portico/portico.sock"
	}
	if a.L7Socket == "" {
		a.L7Socket = "/run/portico-l7/portico.sock"
	}
	if s.Listen != nil {
		a.Listen = *s.Listen
	}
	checkListen("admin.listen", a.Listen, bad)
	checkListen("admin.l7_listen", a.L7Listen, bad)
	for i, h := range s.Hosts {
		if h == "" || strings.ContainsAny(h, ":/* ") {
			bad(fmt.Sprintf("admin.hosts[%d]", i), fmt.Sprintf("%q is no name: write it without a port, as in \"edge.example.org\"", h))
		}
		a.Hosts = append(a.Hosts, strings.ToLower(h))
	}
	// Only who listens reads it: nobody else needs the right to.
	director := wants("vip") || wants("l4") || wants("health")
	if s.TokenFile != "" && (director && a.Listen != "" || wants("l7") && a.L7Listen != "") {
		a.Token = readToken(s.TokenFile, readFile, bad)
	}
	return a
}

func checkListen(key, listen string, bad func(key, problem string)) {
	if listen == "" {
		return
	}
	_, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		bad(key, fmt.Sprintf("%q is no address and port: allowed is such as \"127.0.0.1:9180\", \":9180\" for all addresses, or \"\" for none", listen))
	}
}

func readToken(path string, readFile func(string) ([]byte, error), bad func(key, problem string)) string {
	data, err := readFile(path)
	if err != nil {
		bad("admin.token_file", err.Error())
		return ""
	}
	token := strings.TrimSpace(string(data))
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(token) < shortestToken || strings.ContainsFunc(token, odd) {
		bad("admin.token_file", fmt.Sprintf("%s holds no token of %d or more printable characters in one line: openssl rand -hex 32 > %[1]s", path, shortestToken))
		return ""
	}
	return token
}
