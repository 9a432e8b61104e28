package differential

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A daemon is a program under test in front of an origin of its own.
type daemon struct {
	name   string
	addr   string
	origin *origin
	// bodyless is whether it takes the bodies of GETs, and drops them.
	bodyless bool
}

// peers are the servers that portico is held against, each with the file of
// its configuration and the command that runs it in the foreground. %[1]s is
// its folder, %[2]s its port, %[3]s the port of its origin.
var peers = []struct {
	name, file, config string
	command            []string
}{
	{"nginx", "nginx.conf", `daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log; user root;
events { worker_connections 4096; }
http {
	access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen 127.0.0.1:%[2]s;
		location / { proxy_pass http://127.0.0.1:%[3]s; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ""; }
	}
}
`, []string{"nginx", "-c", "%[1]s/nginx.conf", "-e", "%[1]s/error.log"}},

	{"haproxy", "haproxy.cfg", `defaults
	mode http
	timeout connect 5s
	timeout client 10s
	timeout server 10s
frontend f
	bind 127.0.0.1:%[2]s
	default_backend b
backend b
	option http-buffer-request
	server s 127.0.0.1:%[3]s
`, []string{"haproxy", "-db", "-f", "%[1]s/haproxy.cfg"}},

	{"apache2", "apache.conf", `ServerRoot %[1]s
ServerName localhost
DefaultRuntimeDir %[1]s
PidFile %[1]s/pid
ErrorLog %[1]s/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User www-data
Group www-data
Listen 127.0.0.1:%[2]s
AllowEncodedSlashes NoDecode
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:%[3]s/ nocanon
`, []string{"apache2", "-DFOREGROUND", "-f", "%[1]s/apache.conf"}},

	{"varnish", "default.vcl", `vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "%[3]s"; }
sub vcl_recv { return (pass); }
`, []string{"varnishd", "-F", "-j", "none", "-a", "127.0.0.1:%[2]s", "-f", "%[1]s/default.vcl", "-n", "%[1]s/work", "-s", "malloc,16M"}},

	{"lighttpd", "lighttpd.conf", `server.bind = "127.0.0.1"
server.port = %[2]s
server.document-root = "%[1]s"
server.errorlog = "%[1]s/error.log"
server.modules = ("mod_proxy")
# As others do: npm, GitLab and their like have slashes in names.
server.http-parseopts = ("url-path-2f-decode" => "disable")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => %[3]s)))
`, []string{"lighttpd", "-D", "-f", "%[1]s/lighttpd.conf"}},

	{"h2o", "h2o.conf", `user: root
pid-file: %[1]s/pid
error-log: %[1]s/error.log
num-threads: 1
listen: { host: 127.0.0.1, port: %[2]s }
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: "http://127.0.0.1:%[3]s/"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 0
`, []string{"h2o", "-m", "worker", "-c", "%[1]s/h2o.conf"}},
}

// startPeers runs all of them.
func startPeers(t *testing.T) []*daemon {
	var out []*daemon
	for _, p := range peers {
		d := &daemon{name: p.name, origin: startOrigin(t), bodyless: p.name == "varnish"}
		dir, port := folder(t, p.name), freePort(t)
		fill := strings.NewReplacer("%[1]s", dir, "%[2]s", port, "%[3]s", portOf(d.origin.addr)).Replace
		d.addr = "127.0.0.1:" + port
		write(t, filepath.Join(dir, p.file), fill(p.config))
		var args []string
		for _, a := range p.command {
			args = append(args, fill(a))
		}
		run(t, dir, d.addr, args...)
		out = append(out, d)
	}
	return out
}

// startPortico runs portico with a route for every host.
func startPortico(t *testing.T) *daemon {
	binary := os.Getenv("PORTICO_BIN")
	if binary == "" {
		lacks(t, "no binary to run: make build, and name it in PORTICO_BIN")
	}
	d := &daemon{name: "portico", origin: startOrigin(t)}
	dir, port := folder(t, "portico"), freePort(t)
	d.addr = "127.0.0.1:" + port
	write(t, dir+"/manifests/all.yaml", fmt.Sprintf(manifest, portOf(d.origin.addr)))
	write(t, dir+"/portico.toml", fmt.Sprintf(`[node]
run_dir = %[1]q
[admin]
socket = "%[1]s/director.sock"
l7_socket = "%[1]s/proxy.sock"
[l7]
ready_listen = ""
[[l7.entrypoint]]
name = "http"
listen = "127.0.0.1:%[2]s"
[l7.kubernetes]
manifests = "%[1]s/manifests"
`, dir, port))
	run(t, dir, d.addr, binary, "run", "--config", dir+"/portico.toml", "--only", "l7")
	return d
}

const manifest = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: all, namespace: default }
spec:
  ingressClassName: portico
  rules:
  - http: { paths: [ { path: /, pathType: Prefix, backend: { service: { name: origin, port: { number: 80 } } } } ] }
---
apiVersion: v1
kind: Service
metadata: { name: origin, namespace: default }
spec: { ports: [ { name: http, port: 80 } ] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: origin, namespace: default, labels: { kubernetes.io/service-name: origin } }
addressType: IPv4
ports: [ { name: http, port: %s } ]
endpoints: [ { addresses: ["127.0.0.1"], conditions: { ready: true } } ]
`

// run runs a daemon until the test ends, and waits until it forwards.
func run(t *testing.T, dir, addr string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(args[0])
	if err != nil {
		lacks(t, fmt.Sprintf("%v: make test-differential installs it", err))
	}
	cmd := exec.Command(path, args[1:]...)
	log, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		late.Stop()
	})
	for range 300 {
		answer, _ := exchange(addr, "GET /i0 HTTP/1.1\r\nHost: h.example\r\nConnection: close\r\n\r\n")
		if strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	out, _ := os.ReadFile(log.Name())
	t.Fatalf("%s does not forward: %s", args[0], out)
}

// lacks skips the test, but not where all must be there.
func lacks(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("PORTICO_LAB") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// folder is one that daemons which give up their privileges can enter.
func folder(t *testing.T, name string) string {
	dir, err := os.MkdirTemp("", "differential-"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return portOf(l.Addr().String())
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
