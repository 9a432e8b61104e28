package l4_test

import (
	"fmt"
	"strings"
	"time"
)

// interval leaves the checks of both tools little to do: they are measured by
// themselves in test/bench/checks.
func interval(services int) time.Duration {
	return time.Duration(services) * 60 * time.Millisecond
}

// server is the address of a service's server.
func server(service, i int) string {
	n := service*(perEach+1) + i + 1
	return fmt.Sprintf("10.64.%d.%d", n>>8, n&255)
}

// porticoConfig gives the first server of the first service a weight, and all
// others 1.
func porticoConfig(dir string, services, weight int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[node]
name      = "director"
interface = "eth0"
run_dir   = "%[1]s/run"

[admin]
socket    = "%[1]s/director.sock"
l7_socket = "%[1]s/proxy.sock"

[[vip]]
name      = "edge"
addresses = [%[2]q]
vrrp      = { router_id = 51 }
`, dir, vip)
	for s := range services {
		fmt.Fprintf(&b, `
[[l4.service]]
name      = "s%d"
vip       = "edge"
port      = %d
scheduler = "rr"
check     = { kind = "tcp", port = 80, interval = %q }
`, s, firstPort+s, interval(services).String())
		for i := range perEach {
			fmt.Fprintf(&b, "[[l4.service.server]]\naddress = %q\nweight = %d\n", server(s, i), weight)
			weight = 1
		}
	}
	return b.String()
}

// keepalivedConfig says the same to keepalived.
func keepalivedConfig(_ string, services, weight int) string {
	var b strings.Builder
	for s := range services {
		fmt.Fprintf(&b, "virtual_server %s %d {\n delay_loop %d\n lvs_sched rr\n lvs_method DR\n protocol TCP\n",
			vip, firstPort+s, int(interval(services).Seconds()))
		for i := range perEach {
			fmt.Fprintf(&b, " real_server %s %d {\n  weight %d\n  TCP_CHECK {\n   connect_port 80\n   connect_timeout 1\n  }\n }\n",
				server(s, i), firstPort+s, weight)
			weight = 1
		}
		b.WriteString("}\n")
	}
	return b.String()
}
