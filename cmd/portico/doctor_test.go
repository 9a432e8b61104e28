package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-lb/portico/cmd/internal/doctor"
)

// doctorSays runs checks that depend on the file alone.
func doctorSays(t *testing.T, text string, args ...string) (code int, out string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "portico.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), env{stdout: &stdout, stderr: &stderr, args: append([]string{"doctor", "-c", path}, args...)})
	return code, stdout.String() + stderr.String()
}

const nowhere = "[admin]\nsocket = \"/nowhere/portico.sock\"\nl7_socket = \"/nowhere/l7.sock\"\n"

func TestDoctor(t *testing.T) {
	code, out := doctorSays(t, nowhere, "config", "kernel")
	if code != exitOK || !strings.Contains(out, "has no faults") || !strings.Contains(out, "1 ok, 0 warn, 0 fail, 1 skipped") {
		t.Errorf("exits %d:\n%s", code, out)
	}
	code, out = doctorSays(t, nowhere+"unknown = 1\n", "config", "--quiet")
	if code != exitFailed || !strings.Contains(out, "$ portico check") {
		t.Errorf("exits %d:\n%s", code, out)
	}
	if code, out = doctorSays(t, nowhere, "everything"); code != exitUsage || !strings.Contains(out, "kube-proxy") {
		t.Errorf("exits %d:\n%s", code, out)
	}
}

// TestDoctorWithFaults: of a file with a fault nobody says that it asks for
// nothing, nor that what it asks for is well.
func TestDoctorWithFaults(t *testing.T) {
	const text = nowhere + `unknown = 1
[[vip]]
name = "edge"
addresses = ["192.0.2.10"]
interface = "eth0"
vrrp = { router_id = 51 }
[[l4.service]]
name = "http"
vip = "edge"
port = 80
server = [{ address = "192.0.2.11" }]
`
	_, out := doctorSays(t, text, "kernel", "sysctl", "firewall", "vrrp", "kube-proxy", "ports", "mtu", "xdp", "api", "pods", "--json")
	var found []doctor.Finding
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	skipped := 0
	for _, f := range found {
		switch {
		case f.Verdict == doctor.OK || strings.Contains(f.Found, "no ["):
			t.Errorf("%+v", f)
		case f.Verdict == doctor.Skipped && strings.Contains(f.Found, "cannot be used"):
			skipped++
		}
	}
	if skipped != 10 {
		t.Errorf("%d are skipped for the faults:\n%s", skipped, out)
	}
}

func TestDoctorJSON(t *testing.T) {
	code, out := doctorSays(t, nowhere+"unknown = 1\n", "config", "--json")
	var found []doctor.Finding
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != exitFailed {
		t.Fatalf("exits %d: %v\n%s", code, err, out)
	}
	if len(found) != 1 || found[0].Check != "config" || found[0].Verdict != doctor.Fail || len(found[0].Cure) == 0 {
		t.Errorf("%+v", found)
	}
}
