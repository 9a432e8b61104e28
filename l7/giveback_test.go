package l7

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestUnmapProgram looks at how much of the program's file is mapped before and
// after.
func TestUnmapProgram(t *testing.T) {
	before := mapped(t)
	if err := unmapProgram(); err != nil {
		t.Fatal(err)
	}
	if after := mapped(t); after >= before {
		t.Errorf("of %d kB, %d kB are still mapped", before, after)
	}
}

func mapped(t *testing.T) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatal("this kernel does not tell")
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}
