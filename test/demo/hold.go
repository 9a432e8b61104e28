package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// holdOn keeps the edge up: with a shell where somebody is there to type, and
// until the launcher says to leave elsewhere.
func (d *demo) holdOn() {
	if err := os.WriteFile(filepath.Join(d.e.outDir, heldFile), nil, 0o600); err != nil {
		d.t.Fatalf("hold: %v", err)
	}
	d.section("Yours to play with")
	if !d.keyboard {
		d.say("The edge stays up until Ctrl-C. At a terminal, make demo HOLD=1 gives a shell here.")
		if os.Getenv("PORTICO_VM") != "1" {
			d.say("As root: nsenter -m -n -t %d, and ip netns has the nodes.", os.Getpid())
		}
		for !exists(d.e.outDir, leaveFile) {
			time.Sleep(300 * time.Millisecond)
		}
		return
	}
	d.help()
	// A key that interrupts is for what runs in the shell. Not ignored, since
	// programs of the shell would ignore it too.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT)
	defer signal.Stop(interrupts)
	shell := d.sh("--norc", "-i")
	shell.Env = append(shell.Env, "PS1="+"portico demo# ")
	shell.Stdin, shell.Stdout, shell.Stderr = d.e.stdin, d.e.stdout, d.e.stderr
	var exit *exec.ExitError
	// Its status is that of the last command typed.
	if err := shell.Run(); err != nil && !errors.As(err, &exit) {
		d.t.Fatalf("shell: %v", err)
	}
}

// help says what may be typed.
func (d *demo) help() {
	vip, n := d.edge.VIP(), d.owner()
	other := d.edge.Others(n)[0]
	d.say("The nodes are network namespaces: edge-1, edge-2, edge-3, client, worker (the Pods), and lan (the switch).\n" +
		"Leave with exit. Type, for example:")
	d.table([][]string{
		{"# a request"},
		{fmt.Sprintf("ip netns exec client curl -H 'Host: %s' http://%s/", shopHost, vip)},
		{fmt.Sprintf("ip netns exec client curl --cacert ca.crt --resolve %[1]s:443:%[2]s https://%[1]s/", shopHost, vip)},
		{fmt.Sprintf("# look into %s, the owner", n)},
		{fmt.Sprintf("ip netns exec %s ipvsadm -Ln", n)},
		{fmt.Sprintf("ip netns exec %s portico status --config %s", n, d.relative(n.Config))},
		{fmt.Sprintf("ip netns exec %s tcpdump -ni eth0 'ip proto 112'", other)},
		{"# change what is routed: the nodes read it within a second"},
		{fmt.Sprintf("cat %s/ingress.yaml", d.relative(d.edge.Folder))},
		{fmt.Sprintf("# crash %s, pull its cable, and put all back", n)},
		{fmt.Sprintf("kill -9 $(ip netns pids %s)", n)},
		{fmt.Sprintf("ip -n lan link set %s down", d.port(n))},
		{fmt.Sprintf("ip -n lan link set %s up", d.port(n))},
		{fmt.Sprintf("ip netns exec %s portico run --config %s >%s/log 2>&1 &", n, d.relative(n.Config), n)},
	}...)
}
