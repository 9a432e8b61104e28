package metrics_test

import (
	"os"
	"strings"
	"testing"

	"github.com/portico-lb/portico/cmd/internal/metrics"
)

const doc = "../../../packaging/doc/metrics.md"

// families are the names of all samples, and of what kind each is.
func families(t *testing.T) map[string]string {
	t.Helper()
	all, err := metrics.New("director", everything).Gather()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, f := range all {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	return kinds
}

// TestDocumented: the manual lists all samples as they are, and none beside.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			listed[strings.TrimSpace(line)] = true
		}
	}
	all, err := metrics.New("director", everything).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if !strings.HasPrefix(f.GetName(), "portico_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want := "| `" + f.GetName() + "` | " + strings.ToLower(f.GetType().String()) + " | " + strings.Join(labels, ", ") + " | " + f.GetHelp() + " |"
		if !listed[want] {
			t.Errorf("metrics.md lacks\n%s", want)
		}
		delete(listed, want)
	}
	for line := range listed {
		t.Errorf("metrics.md has what is not\n%s", line)
	}
}
