package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// A proxy is a program under measurement.
type proxy struct {
	name    string
	port    string
	tlsPort string
	proc    *lab.Proc
}

// bodies are what the origin serves, by path.
var bodies = map[string]int{"/100": 100, "/10k": 10 << 10, "/1m": 1 << 20, "/64k.shtml": 64 << 10}

// startOrigin runs nginx with static files as the Pod. The length of what it
// would look for inclusions in, it does not know, and sends chunks.
func startOrigin(t lab.T, node *lab.Node) {
	root := filepath.Join(node.Dir(), "www")
	check(t, os.MkdirAll(root, 0o755))
	check(t, os.Chmod(node.Dir(), 0o755))
	for path, size := range bodies {
		check(t, os.WriteFile(root+path, []byte(strings.Repeat("x", size)), 0o644))
	}
	runNginx(t, node, "origin", fmt.Sprintf("access_log off; server { listen %s:8080 backlog=4096; root %s; ssi on; output_buffers 2 32k; }", podAddr, root))
	waitHTTP(t, node, "http://"+podAddr+":8080/100")
}

func startNginx(t lab.T, node *lab.Node, s site) *proxy {
	var upstreams strings.Builder
	for i := range s.backends() {
		fmt.Fprintf(&upstreams, "upstream pod%d { server %s:8080; keepalive 128; keepalive_requests 1000000; }\n", i, podAddr)
	}
	log := "access_log off;\n"
	if s.log {
		log = fmt.Sprintf("access_log %s/nginx/access.log;\n", node.Dir())
	}
	p := runNginx(t, node, "nginx", log+upstreams.String()+
		"server_names_hash_max_size 65536; server_names_hash_bucket_size 64;\n"+
		s.each(func(host string, backend int) string { return nginxServer("127.0.0.1:9002", host, backend) })+
		nginxServer("127.0.0.1:9002 backlog=4096", "bench.example", 0)+
		nginxServer(fmt.Sprintf(`127.0.0.1:9012 backlog=4096 ssl http2;
	ssl_certificate %[1]s;
	ssl_certificate_key %[1]s;
	ssl_protocols TLSv1.2 TLSv1.3`, s.cert), "bench.example", 0))
	waitHTTP(t, node, "http://127.0.0.1:9002/100")
	return &proxy{"nginx", "9002", "9012", p}
}

// nginxServer is the configuration of a host.
func nginxServer(listen, host string, backend int) string {
	return fmt.Sprintf(`server {
	listen %s;
	server_name %s;
	location / {
		proxy_pass http://pod%d;
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		proxy_set_header Host $host;
		proxy_set_header X-Forwarded-For $remote_addr;
		proxy_set_header X-Forwarded-Proto $scheme;
	}
}
`, listen, host, backend)
}

// runNginx runs nginx with two workers, as many as wrk has threads.
func runNginx(t lab.T, node *lab.Node, name, http string) *lab.Proc {
	dir := filepath.Join(node.Dir(), name)
	check(t, os.MkdirAll(dir, 0o755))
	conf := fmt.Sprintf(`daemon off; worker_processes 2; pid %[1]s/pid; error_log %[1]s/error.log; user root;
events { worker_connections 4096; }
http {
	keepalive_requests 100000000; http2_max_concurrent_streams 128; sendfile on; tcp_nopush on;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	%[2]s
}`, dir, http)
	check(t, os.WriteFile(dir+"/conf", []byte(conf), 0o644))
	return node.Start(need(t, "nginx", "nginx-light"), "-c", dir+"/conf", "-e", dir+"/start.log")
}

func startHAProxy(t lab.T, node *lab.Node, s site) *proxy {
	hosts := filepath.Join(node.Dir(), "hosts.map")
	check(t, os.WriteFile(hosts, []byte("bench.example pod0\n"+s.each(func(host string, backend int) string {
		return fmt.Sprintf("%s pod%d\n", host, backend)
	})), 0o644))
	var backends strings.Builder
	for i := range s.backends() {
		fmt.Fprintf(&backends, "backend pod%d\n\tserver a %s:8080\n", i, podAddr)
	}
	conf := filepath.Join(node.Dir(), "haproxy.cfg")
	check(t, os.WriteFile(conf, fmt.Appendf(nil, `global
	nbthread 2
	maxconn 4096
	ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
	mode http
	timeout connect 2s
	timeout client 60s
	timeout server 60s
	option http-keep-alive
	option forwardfor
	http-reuse always
frontend in
	bind 127.0.0.1:9003
	bind 127.0.0.1:9013 ssl crt %s alpn h2,http/1.1
	use_backend %%[req.hdr(host),lower,map(%s)]
%s`, s.cert, hosts, backends.String()), 0o644))
	p := node.Start(need(t, "haproxy", "haproxy"), "-f", conf, "-db")
	waitHTTP(t, node, "http://127.0.0.1:9003/100")
	return &proxy{"haproxy", "9003", "9013", p}
}

func startPortico(t lab.T, node *lab.Node, s site, binary string) *proxy {
	dir := filepath.Join(node.Dir(), "portico")
	check(t, os.MkdirAll(dir+"/manifests", 0o755))
	var objects strings.Builder
	for i := range s.backends() {
		objects.WriteString(porticoService(i))
	}
	objects.WriteString(s.each(porticoIngress) + porticoIngress("bench.example", 0))
	check(t, os.WriteFile(dir+"/manifests/bench.yaml", []byte(objects.String()), 0o644))
	conf := dir + "/portico.toml"
	check(t, os.WriteFile(conf, fmt.Appendf(nil, `
[node]
run_dir = %[1]q
[admin]
socket = "%[1]s/director.sock"
l7_socket = "%[1]s/proxy.sock"
[l7]
ready_listen = "127.0.0.1:9181"
[[l7.entrypoint]]
name = "http"
listen = "127.0.0.1:9001"
[[l7.entrypoint]]
name = "https"
listen = "127.0.0.1:9011"
[l7.entrypoint.tls]
certificates = [{ cert_file = %[2]q, key_file = %[2]q }]
[l7.kubernetes]
manifests = "%[1]s/manifests"
`, dir, s.cert), 0o644))
	if s.log {
		log, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
		check(t, err)
		_, err = fmt.Fprintf(log, "[l7.access_log]\nfile = \"%s/access.log\"\n", dir)
		check(t, errors.Join(err, log.Close()))
	}
	cmd := node.Command(binary, "run", "--config", conf, "--only", "l7")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	p := cmd.Spawn()
	waitHTTP(t, node, "http://127.0.0.1:9001/100")
	return &proxy{"portico", "9001", "9011", p}
}

// porticoIngress routes a host to the service of a number.
func porticoIngress(host string, backend int) string {
	return fmt.Sprintf(`
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: %[1]s, namespace: default }
spec:
  ingressClassName: portico
  rules:
  - host: %[1]s
    http: { paths: [ { path: /, pathType: Prefix, backend: { service: { name: bench%[2]d, port: { number: 80 } } } } ] }
`, host, backend)
}

// porticoService is a service with the Pod.
func porticoService(number int) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Service
metadata: { name: bench%[1]d, namespace: default }
spec: { ports: [ { port: 80 } ] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: bench%[1]d-1, namespace: default, labels: { kubernetes.io/service-name: bench%[1]d } }
addressType: IPv4
endpoints: [ { addresses: [ %[2]s ] } ]
ports: [ { port: 8080 } ]
`, number, podAddr)
}

// waitHTTP waits until url answers 200.
func waitHTTP(t lab.T, node *lab.Node, url string) {
	t.Helper()
	client := node.HTTPClient()
	lab.Eventually(t, 10*time.Second, url, func() error {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		req.Host = "bench.example"
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", resp.Status)
		}
		return nil
	})
}
