package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const grafana = "../../../packaging/grafana/"

// A rule is one of Prometheus's.
type rule struct {
	Alert       string            `json:"alert,omitempty"`
	Record      string            `json:"record,omitempty"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func alerts(t *testing.T) (all []rule) {
	t.Helper()
	text, err := os.ReadFile(grafana + "alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// panels are the expressions of the dashboard, with its variables filled in.
func panels(t *testing.T) (all []rule) {
	t.Helper()
	text, err := os.ReadFile(grafana + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
		Templating  struct{ List []struct{ Name, Query any } }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$route", ".*")
	add := func(expr string) {
		all = append(all, rule{Record: fmt.Sprintf("panel:%d", len(all)), Expr: fill.Replace(expr)})
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			add(target.Expr)
		}
	}
	for _, a := range board.Annotations.List {
		add(a.Expr)
	}
	if len(all) < 30 {
		t.Fatalf("%d expressions in the dashboard", len(all))
	}
	return all
}

var named = regexp.MustCompile(`\b(portico|process|go)_[a-z0-9_]+`)

// TestExpressionsName what there is: a name that is misspelt is never an error
// to Prometheus, and never an alert.
func TestExpressionsName(t *testing.T) {
	kinds := families(t)
	used := map[string]bool{}
	for _, r := range append(alerts(t), panels(t)...) {
		for _, name := range named.FindAllString(r.Expr, -1) {
			base := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if cut, ok := strings.CutSuffix(name, suffix); ok && kinds[cut] == "histogram" {
					base = cut
				}
			}
			if kinds[base] == "" {
				t.Errorf("%s%s: there is no %s", r.Alert, r.Record, name)
			}
			used[base] = true
			rated := strings.Contains(r.Expr, "rate("+name) || strings.Contains(r.Expr, "increase("+name)
			if counts := kinds[base] == "counter" || kinds[base] == "histogram"; counts != rated && base == name {
				t.Errorf("%s%s: %s is a %s: rate %v", r.Alert, r.Record, name, kinds[base], rated)
			}
		}
	}
	if len(used) < 40 {
		t.Errorf("only %d names are used", len(used))
	}
}

// promtool runs Prometheus's own tool.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Fatalf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestRules has promtool read all expressions, and try the alerts.
func TestRules(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("PORTICO_LAB") != "" {
			t.Fatal(err)
		}
		t.Skip("no promtool: apt-get install prometheus")
	}
	board := filepath.Join(t.TempDir(), "board.yaml")
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "board", "rules": panels(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(board, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", grafana+"alerts.yaml", board)
	promtool(t, "test", "rules", "testdata/alerts.yaml")
}

// TestRulesAreTried: each alert stands in the cases that promtool tries, and says
// how grave it is and what to do.
func TestRulesAreTried(t *testing.T) {
	cases, err := os.ReadFile("testdata/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range alerts(t) {
		if !strings.Contains(string(cases), `{alertname="`+r.Alert+`"}`) {
			t.Errorf("%s is never seen", r.Alert)
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: severity %q, %v", r.Alert, s, r.Annotations)
		}
	}
}
