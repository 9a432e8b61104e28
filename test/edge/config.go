package edge

import (
	"fmt"
	"strings"
)

// Sockets in a node's folder.
const (
	directorSocket = "director.sock"
	proxySocket    = "proxy.sock"
)

// config is a node's configuration file. What keeps the nodes of a laboratory
// apart, though they share a file system, lies below the node's own folder.
func (e *Edge) config(n *Node) string {
	var b strings.Builder
	addresses := []string{e.opts.VIP}
	if e.opts.IPv6 {
		addresses = append(addresses, DefaultVIP6)
	}
	track := ""
	if e.opts.Track != "" {
		track = ", track = " + e.opts.Track
	}
	fmt.Fprintf(&b, `[node]
name      = %[1]q
interface = %[2]q
run_dir   = "%[3]s/run"

[log]
format = "text"

[admin]
socket    = "%[3]s/%[6]s"
l7_socket = "%[3]s/%[7]s"

[[vip]]
name      = "edge"
addresses = [%[4]s]
vrrp      = { router_id = 51, advert_interval = %[5]q%[8]s }

`, n.Name(), ifname, n.Dir(), quoted(addresses), e.opts.Advert, directorSocket, proxySocket, track)
	if e.opts.Dataplane != "" {
		fmt.Fprintf(&b, "[l4]\ndataplane = %q\n\n", e.opts.Dataplane)
	}
	e.service(&b, "http", firstPort)
	if e.opts.HTTPS {
		e.service(&b, "https", 443)
	}
	b.WriteString(e.opts.Services)
	b.WriteString(`
[l7]
stop_delay = "4s" # the checks below fail after three seconds
`)
	fmt.Fprintf(&b, "state_dir  = %q\n", n.Dir()+"/l7")
	b.WriteString(`

[[l7.entrypoint]]
name   = "http"
listen = ":80"

[[l7.entrypoint]]
name   = "https"
listen = ":443"
tls    = {}

[l7.kubernetes]
`)
	if e.opts.Kubernetes != "" {
		b.WriteString(e.opts.Kubernetes)
	} else {
		fmt.Fprintf(&b, "manifests = %q\n", e.Folder)
	}
	return b.String()
}

// service writes a service that is spread over all nodes.
func (e *Edge) service(b *strings.Builder, name string, port int) {
	check := `kind = "http", port = 9181, path = "/ready", interval = "1s"`
	if e.opts.Check != "" {
		check += ", " + e.opts.Check
	}
	fmt.Fprintf(b, `[[l4.service]]
name      = %q
vip       = "edge"
port      = %d
scheduler = %q
check     = { %s }
server    = [%s]

`, name, port, e.opts.Scheduler, check, e.Servers())
}

// Servers is the body of a service's server list: all nodes.
func (e *Edge) Servers() string {
	var list []string
	for _, n := range e.Nodes {
		list = append(list, fmt.Sprintf("{ address = %q }", n.Addr))
		if e.opts.IPv6 {
			list = append(list, fmt.Sprintf("{ address = %q }", n.Addr6))
		}
	}
	return strings.Join(list, ", ")
}

func quoted(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(q, ", ")
}
