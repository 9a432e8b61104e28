package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const withPassword = `[[vip]]
name = "edge"
addresses = ["192.0.2.10"]
interface = "eth0"
vrrp = { router_id = 51, version = 2, password = "s3cret" }
`

const withToken = `[[notify]]
kind = "webhook"
url = "https://example.com/hook"
headers = { Authorization = "Bearer s3cret", X-Team = "edge" }
`

const withUsers = `[[l7.middleware]]
name = "a"
basic_auth = { users = ["ann:{SHA}TG0Z6p+y9EQPSWI6b8IVfD1D+wg="] }
[[l7.middleware]]
name = "b"
headers = { request = { set = { Authorization = "s3cret", X-Token = "", X-Team = "edge" } } }
`

func TestLoadWantsSecretsKept(t *testing.T) {
	everything := func(string) bool { return true }
	path := filepath.Join(t.TempDir(), "portico.toml")
	for _, c := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{withPassword, 0o640, ""},
		{withPassword, 0o644, "portico.toml:5:39: vip[0].vrrp.password: everybody may read it here"},
		{withToken, 0o640, ""},
		{withToken, 0o644, "portico.toml:4:13: notify[0].headers.Authorization: everybody may read it here"},
		{withUsers, 0o640, ""},
		{withUsers, 0o644, "portico.toml:3:16: l7.middleware[0].basic_auth.users: everybody may read it here"},
		{withUsers, 0o644, "portico.toml:6:33: l7.middleware[1].headers.request.set.Authorization: everybody may read it here"},
	} {
		// A byte order mark, as some editors write, is no fault.
		if err := os.WriteFile(path, []byte("\ufeff"+c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, everything)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%o: got %v, want %q", c.mode, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Error("the error shows the password")
		}
	}
}

func TestLoadPasswordFile(t *testing.T) {
	dir := t.TempDir()
	secret, path := filepath.Join(dir, "password"), filepath.Join(dir, "portico.toml")
	text := strings.Replace(withPassword, `password = "s3cret"`, `password_file = "`+secret+`"`, 1)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, func(string) bool { return true }); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, func(string) bool { return true })
	var faults Faults
	if !errors.As(err, &faults) || !strings.Contains(err.Error(), "chmod o-r "+secret) {
		t.Errorf("a password file that everybody may read gives %v", err)
	}
}

// TestLoadBalancedOnce: every node that announces an address by BGP balances
// it, and only mh balances alike on all of them.
func TestLoadBalancedOnce(t *testing.T) {
	const text = `[[vip]]
name = "edge"
addresses = ["192.0.2.10"]
interface = "eth0"
owner = "bgp"
bgp = { local_as = 64512, router_id = "192.0.2.11", neighbors = [ { address = "192.0.2.1", as = 64513 } ] }
[[l4.service]]
name = "http"
vip = "edge"
port = 80
scheduler = "%s"
[[l4.service.server]]
address = "192.0.2.11"
`
	path := filepath.Join(t.TempDir(), "portico.toml")
	for scheduler, want := range map[string]string{
		"mh": "",
		"rr": `portico.toml:11:1: l4.service[0].scheduler: "rr" cannot serve an address with owner = "bgp"`,
	} {
		if err := os.WriteFile(path, fmt.Appendf(nil, text, scheduler), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, func(string) bool { return true })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", scheduler, err, want)
		}
	}
}

// TestLoadNodes: who follows Nodes says where the API server is, also where
// only the director reads the file.
func TestLoadNodes(t *testing.T) {
	const text = `[[vip]]
name = "edge"
addresses = ["192.0.2.10"]
interface = "eth0"
vrrp = { router_id = 51 }
[[l4.service]]
name = "http"
vip = "edge"
port = 80
servers_from = { node_selector = "edgenode = true%s" }
[l7.kubernetes]
%s
`
	path := filepath.Join(t.TempDir(), "portico.toml")
	for _, c := range []struct{ selector, kubernetes, want string }{
		{"", `kubeconfig = "/etc/portico/kubeconfig"`, ""},
		{"", `endpoints = ["https://172.16.0.36:6443"]`, ""},
		{"", `manifests = "/etc/portico/manifests"`, "portico.toml:10:1: l4.service[0].servers_from: stands without kubeconfig or endpoints in [l7.kubernetes]"},
		{"", `endpoints = ["172.16.0.36"]`, `portico.toml:12:14: l7.kubernetes.endpoints[0]: "172.16.0.36" is no API server`},
		{",,", `kubeconfig = "/etc/portico/kubeconfig"`, `portico.toml:10:18: l4.service[0].servers_from.node_selector: "edgenode = true,,"`},
	} {
		for _, part := range []string{"l4", "l7"} {
			if err := os.WriteFile(path, fmt.Appendf(nil, text, c.selector, c.kubernetes), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Load(path, func(p string) bool { return p == "l4" || p == part })
			if c.want == "" && err != nil || c.want != "" && (err == nil || strings.Count(err.Error(), c.want) != 1) {
				t.Errorf("%s: got %v, want %q", c.kubernetes, err, c.want)
			}
			if err == nil && !got.L7.Kubernetes.API() {
				t.Errorf("%s: not there for the director", c.kubernetes)
			}
		}
	}
}
