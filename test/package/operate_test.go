package package_test

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const configFile = "/etc/portico/portico.toml"

// config is the operator's.
const config = `
[[vip]]
name      = "edge"
addresses = ["` + vip + `"]
interface = "edge0"
vrrp      = { router_id = 51, advert_interval = "500ms", track = [{ command = ` + tellsTrack + `, interval = "5s", timeout = "5s" }, { l7 = true, weight = -30 }] }

[[notify]]
name    = "told"
kind    = "exec"
command = ` + tellsNotify + `

[[l4.service]]
name   = "http"
vip    = "edge"
port   = 80
check  = { kind = "http", port = 9181, path = "/ready" }
server = [{ address = "` + nodeIP + `" }]

[[l7.entrypoint]]
name   = "http"
listen = ":80"

[l7.kubernetes]
manifests = "/etc/portico/manifests"

[l7.access_log]
file = "` + accessLog + `"
`

const accessLog = "/var/log/portico/access.log"

const second = `
[[l4.service]]
name   = "second"
vip    = "edge"
port   = 8000
server = [{ address = "` + nodeIP + `" }]

[[l7.entrypoint]]
name   = "second"
listen = ":8000"
`

const manifest = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: hello, namespace: default}
spec:
  ingressClassName: portico
  defaultBackend: {service: {name: hello, port: {number: 80}}}
---
apiVersion: v1
kind: Service
metadata: {name: hello, namespace: default}
spec:
  ports: [{port: 80, targetPort: ` + podPort + `}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: hello-1, namespace: default, labels: {kubernetes.io/service-name: hello}}
addressType: IPv4
ports: [{port: ` + podPort + `}]
endpoints: [{addresses: [` + podIP + `], conditions: {ready: true}}]
`

// operate is a package's life on one machine, as its operator drives it.
func operate(t *testing.T, m manager, dir string) {
	before := takeSnapshot(t)
	_, first := m.(deb)
	served := []string{vip}
	if first {
		served = append(served, vip+":"+otherPort) // since the step xdp
	}
	var upgraded time.Time
	for _, step := range []struct {
		name string
		// its says that the package manager has a part in it: the rest, which
		// takes minutes, is looked at with one of them.
		its bool
		do  func(t *testing.T)
	}{
		{"install", true, func(t *testing.T) { m.install(t, dir, oldVersion); installed(t) }},
		{"untouched", true, untouched},
		{"enable", true, enable},
		{"commands", false, commands},
		{"reload", false, reload},
		{"xdp", false, carryByXDP},
		{"crash", false, crash},
		{"upgrade", true, func(t *testing.T) { replace(t, m, dir, newVersion, served); upgraded = time.Now() }},
		{"status", false, status},
		{"security", false, security},
		{"doctor", false, examine},
		{"watchdog", false, func(t *testing.T) { watched(t, upgraded) }},
		{"downgrade", true, func(t *testing.T) { replace(t, m, dir, oldVersion, served) }},
		{"restart", false, restart},
		{"restart of the proxy", false, restartProxy},
		{"stop", false, stop},
		{"remove", true, func(t *testing.T) { remove(t, m) }},
		{"purge", true, func(t *testing.T) { m.purge(t); leftBehind(t, before, takeSnapshot(t)) }},
	} {
		if !step.its && !first {
			continue
		}
		started := time.Now()
		if !t.Run(step.name, step.do) {
			journal, _ := try(t.Context(), "journalctl", "--no-pager", "--boot", "--unit=portico*", "--lines=100")
			t.Fatalf("gave up after %s:\n%s", step.name, journal)
		}
		t.Logf("%s took %v", step.name, time.Since(started).Round(100*time.Millisecond))
	}
}

// installed checks what an installation must not do: start something, or let
// others read secrets.
func installed(t *testing.T) {
	for _, unit := range []string{"portico", "portico-l7"} {
		if out, err := try(t.Context(), "systemctl", "is-active", unit); err == nil {
			t.Errorf("%s runs after its installation: %s", unit, out)
		}
		if out, err := try(t.Context(), "systemctl", "is-enabled", unit); err == nil {
			t.Errorf("%s is enabled by its installation: %s", unit, out)
		}
	}
	if got, want := run(t, "stat", "--format=%A %U %G", configFile), "-rw-r----- root portico\n"; got != want {
		t.Errorf("%s is %q, want %q", configFile, got, want)
	}
	if got, want := run(t, "portico", "version"), oldVersion; !strings.Contains(got, want) {
		t.Errorf("portico version says %q, want %q", got, want)
	}
	run(t, "portico", "check")
	run(t, "systemd-analyze", "verify", "--man=no", "portico.service", "portico-l7.service")
}

// untouched starts what was installed as it is: a proxy, and no address.
func untouched(t *testing.T) {
	addresses := run(t, "ip", "-brief", "address")
	run(t, "systemctl", "start", "portico")
	active(t)
	if got, want := run(t, "stat", "--format=%A %U %G", "/var/lib/portico/director"), "drwxr-x--- portico portico\n"; got != want {
		t.Errorf("the director's state directory is %q, want %q", got, want)
	}
	if got := run(t, "ip", "-brief", "address"); got != addresses {
		t.Errorf("an untouched configuration changed addresses from\n%sto\n%s", addresses, got)
	}
	if got := run(t, "ipvsadm", "-Sn"); got != "" {
		t.Errorf("an untouched configuration has IPVS services:\n%s", got)
	}
	if got, want := run(t, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1/"), "404"; got != want {
		t.Errorf("without routes the proxy answers %s, want %s", got, want)
	}
	run(t, "systemctl", "stop", "portico", "portico-l7")
}

// enable is an operator's first act: the configuration, and one command.
func enable(t *testing.T) {
	write(t, configFile, config)
	write(t, "/etc/portico/manifests/hello.yaml", manifest)
	run(t, "chgrp", "portico", "/etc/portico/manifests/hello.yaml")
	run(t, "chmod", "640", "/etc/portico/manifests/hello.yaml")
	run(t, "systemctl", "enable", "--now", "portico")
	active(t)
	serves(t)
	logged(t)
}

// logged checks that the proxy may write its access log, and the operator's
// group read it.
func logged(t *testing.T) {
	eventually(t, "a line in the access log", func() bool {
		out, err := try(t.Context(), "cat", accessLog)
		return err == nil && strings.Contains(out, `"KubernetesIngressName":"hello"`)
	})
	if got, want := run(t, "stat", "--format=%A %U %G", accessLog), "-rw-r----- portico-l7 portico\n"; got != want {
		t.Errorf("the access log is %q, want %q", got, want)
	}
	run(t, "mv", accessLog, accessLog+".moved")
	run(t, "systemctl", "kill", "--signal=USR1", "portico-l7")
	eventually(t, "a new access log", func() bool { _, err := os.Stat(accessLog); return err == nil })
	active(t)
}

// serves checks a working edge by the operator's own tools.
func serves(t *testing.T) {
	t.Helper()
	eventually(t, "the address on edge0", func() bool {
		return strings.Contains(run(t, "ip", "-brief", "address", "show", "edge0"), vip+"/32")
	})
	eventually(t, "the service in IPVS", func() bool {
		out := run(t, "ipvsadm", "-Ln")
		return strings.Contains(out, "TCP  "+vip+":80 mh") && strings.Contains(out, "-> "+nodeIP+":80 ") && weight(out) == "1"
	})
	eventually(t, "an answer from the Pod", func() bool {
		out, err := try(t.Context(), "ip", "netns", "exec", "client", "curl", "-sS", "--max-time", "5", "http://"+vip+"/")
		return err == nil && out == "hello from the Pod\n"
	})
}

// weight is that of the only server in `ipvsadm -Ln`.
func weight(out string) string {
	_, server, _ := strings.Cut(out, "-> "+nodeIP+":80 ")
	if f := strings.Fields(server); len(f) > 1 {
		return f[1]
	}
	return ""
}

// reload: a faulty file fails the command and changes nothing, a good one is
// applied by both services.
func reload(t *testing.T) {
	write(t, configFile, config+"\n[l4]\nservise = 1\n")
	if out, err := try(t.Context(), "systemctl", "reload", "portico"); err == nil {
		t.Errorf("a faulty file was reloaded: %s", out)
	}
	active(t)
	serves(t)
	pid := mainPID(t, "portico-l7")
	write(t, configFile, config+second)
	run(t, "systemctl", "reload", "portico")
	eventually(t, "the second service, through both", func() bool {
		_, err := try(t.Context(), "ip", "netns", "exec", "client", "curl", "-fsS", "--max-time", "5", "http://"+vip+":8000/")
		return err == nil
	})
	if got := mainPID(t, "portico-l7"); got != pid {
		t.Errorf("reload made another proxy: pid %s, was %s", got, pid)
	}
}

// crash: a director that dies takes neither address nor proxy nor XDP with it.
func crash(t *testing.T) {
	proxy, director, held := mainPID(t, "portico-l7"), mainPID(t, "portico"), pins(t)
	unbroken(t, "a crash of the director", underLoad(t, func() {
		run(t, "systemctl", "kill", "--kill-who=main", "--signal=KILL", "portico")
		eventually(t, "another director", func() bool {
			pid := mainPID(t, "portico")
			return pid != director && pid != "0" && property(t, "portico", "ActiveState") == "active"
		})
	}, vip, vip+":"+otherPort))
	if got := mainPID(t, "portico-l7"); got != proxy {
		t.Errorf("the crash of the director made another proxy: pid %s, was %s", got, proxy)
	}
	serves(t)
	carried(t)
	if got := pins(t); got != held {
		t.Errorf("the next director made maps and links of its own:\n%swas\n%s", got, held)
	}
}

func status(t *testing.T) {
	t.Logf("portico status:\n%s", run(t, "portico", "status"))
	t.Logf("systemctl status:\n%s", run(t, "systemctl", "status", "--no-pager", "portico", "portico-l7"))
	// Not root, but of the group: may ask, and may not command systemd.
	for _, socket := range []string{"/run/portico/portico.sock", "/run/portico-l7/portico.sock"} {
		run(t, "setpriv", "--reuid=nobody", "--regid=portico", "--clear-groups",
			"curl", "-fsS", "--unix-socket", socket, "http://portico/api/v1/status")
		if out, err := try(t.Context(), "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
			"curl", "-fsS", "--unix-socket", socket, "http://portico/api/v1/status"); err == nil {
			t.Errorf("nobody may ask %s: %s", socket, out)
		}
	}
}

// replace installs another version: the operator's file stays, and so does
// every connection.
func replace(t *testing.T, m manager, dir, version string, served []string) {
	own := read(t, configFile)
	director, proxy, held := mainPID(t, "portico"), mainPID(t, "portico-l7"), pins(t)
	unbroken(t, "the change to "+version, underLoad(t, func() {
		m.install(t, dir, version)
		eventually(t, version+" in both", func() bool {
			return slices.Equal(runningVersions(t), []string{version, version})
		})
	}, served...))
	t.Logf("director %s, was %s; proxy %s, was %s", mainPID(t, "portico"), director, mainPID(t, "portico-l7"), proxy)
	if read(t, configFile) != own {
		t.Error("the operator's configuration was replaced")
	}
	active(t)
	serves(t)
	scheduled(t)
	if held != "" {
		carried(t)
	}
	if got := pins(t); got != held {
		t.Errorf("%s made maps and links of its own:\n%swas\n%s", version, got, held)
	}
	if n := property(t, "portico-l7", "NRestarts"); n != "0" {
		t.Errorf("the proxy was restarted %s times", n)
	}
}

// watched waits for longer than WatchdogSec from the upgrade on: the successors
// must be the ones that answer it.
func watched(t *testing.T, upgraded time.Time) {
	wait(time.Until(upgraded.Add(35 * time.Second)))
	active(t)
	for unit, want := range map[string]string{"portico": "1", "portico-l7": "0"} { // the one is the step crash
		if n := property(t, unit, "NRestarts"); n != want {
			t.Errorf("%s was restarted %s times, want %s", unit, n, want)
		}
	}
}

// runningVersions asks the binaries that run, not the one on disk.
func runningVersions(t *testing.T) []string {
	var versions []string
	for _, unit := range []string{"portico", "portico-l7"} {
		out, err := exec.Command("/proc/"+mainPID(t, unit)+"/exe", "version").Output()
		if f := strings.Fields(string(out)); err == nil && len(f) > 1 {
			versions = append(versions, f[1])
		}
	}
	return versions
}

// restart concerns the director alone: the proxy holds connections.
func restart(t *testing.T) {
	director, proxy := mainPID(t, "portico"), mainPID(t, "portico-l7")
	run(t, "systemctl", "restart", "portico")
	active(t)
	serves(t)
	carried(t)
	if mainPID(t, "portico") == director {
		t.Error("systemctl restart portico left the director as it was")
	}
	if mainPID(t, "portico-l7") != proxy {
		t.Error("systemctl restart portico restarted the proxy")
	}
}

// restartProxy: systemd holds the sockets meanwhile, so nobody is refused, and
// what was begun is answered. Through the virtual address there would be other
// nodes; this one says that it is not ready.
func restartProxy(t *testing.T) {
	proxy := mainPID(t, "portico-l7")
	if got, want := property(t, "portico-l7", "NFileDescriptorStore"), "3"; got != want {
		t.Errorf("systemd holds %s sockets of the proxy, want %s", got, want)
	}
	l := underLoad(t, func() { run(t, "systemctl", "restart", "portico-l7") }, nodeIP)[nodeIP]
	t.Logf("load through a restart of the proxy: %+v", l)
	for _, f := range l.Failures {
		if !strings.HasPrefix(f, "stream: ") { // without an end, and cut after l7.drain
			t.Errorf("a request failed: %s", f)
		}
	}
	if l.Streamed < 100 {
		t.Errorf("a response was cut after %d tenths of a second, long before l7.drain", l.Streamed)
	}
	if mainPID(t, "portico-l7") == proxy {
		t.Error("systemctl restart portico-l7 left the proxy as it was")
	}
	active(t)
	serves(t)
	if got, want := property(t, "portico-l7", "NFileDescriptorStore"), "3"; got != want {
		t.Errorf("systemd holds %s sockets of the proxy after its restart, want %s", got, want)
	}
}

// stop hands the address over and goes on proxying; a stop of both takes the
// node off the edge, the address first.
func stop(t *testing.T) {
	run(t, "systemctl", "stop", "portico")
	if out := run(t, "ip", "-brief", "address", "show", "edge0"); strings.Contains(out, vip) {
		t.Errorf("the address is still there: %s", out)
	}
	if out := run(t, "curl", "-sS", "http://"+nodeIP+"/"); out != "hello from the Pod\n" {
		t.Errorf("without the director the proxy answers %q", out)
	}
	run(t, "systemctl", "start", "portico")
	serves(t)

	run(t, "systemctl", "stop", "portico", "portico-l7")
	director, proxy := exited(t, "portico"), exited(t, "portico-l7")
	if director >= proxy {
		t.Errorf("the proxy ended %v before the director", director-proxy)
	}
	run(t, "systemctl", "start", "portico")
	active(t)
	serves(t)
}

// exited returns when a unit's process ended, since boot.
func exited(t *testing.T, unit string) time.Duration {
	us, err := strconv.Atoi(property(t, unit, "ExecMainExitTimestampMonotonic"))
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(us) * time.Microsecond
}

// remove takes the program from a running edge: what it did to the kernel goes
// too, what the operator wrote stays.
func remove(t *testing.T, m manager) {
	own := read(t, configFile)
	m.remove(t)
	if out := run(t, "ip", "-brief", "address"); strings.Contains(out, vip) {
		t.Errorf("the address is still there:\n%s", out)
	}
	if out := run(t, "ipvsadm", "-Sn"); out != "" {
		t.Errorf("IPVS still has:\n%s", out)
	}
	if program(t) != "" {
		t.Error("an XDP program is still on edge0")
	}
	if read(t, m.kept()) != own {
		t.Error("the operator's configuration did not stay")
	}
}

func active(t *testing.T) {
	t.Helper()
	for _, unit := range []string{"portico", "portico-l7"} {
		if s := property(t, unit, "ActiveState"); s != "active" {
			t.Fatalf("%s is %s", unit, s)
		}
	}
}

func mainPID(t *testing.T, unit string) string { return property(t, unit, "MainPID") }

func property(t *testing.T, unit, name string) string {
	return strings.TrimSpace(run(t, "systemctl", "show", "--value", "--property="+name, unit))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a test waits for what takes a second: an emulated machine
// verifies an XDP program for ten, on a busy one for more.
const patience = 90 * time.Second

// eventually fails the test if cond does not become true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); wait(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}
