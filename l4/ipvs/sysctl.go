package ipvs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sysctlDir appears when ip_vs is loaded, for each network namespace.
const sysctlDir = "/proc/sys/net/ipv4/vs"

// readSysctls returns the settings that are plain numbers; the others are
// none of ours.
func readSysctls() (map[string]int, error) {
	entries, err := os.ReadDir(sysctlDir)
	if err != nil {
		return nil, fmt.Errorf("read settings of ip_vs: %w", err)
	}
	set := map[string]int{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(sysctlDir, e.Name()))
		if err != nil {
			continue // some are there for certain users alone
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			set[e.Name()] = n
		}
	}
	return set, nil
}

func writeSysctl(name string, value int) error {
	// Not os.WriteFile: it would create what does not exist, or say so in
	// other words.
	f, err := os.OpenFile(filepath.Join(sysctlDir, name), os.O_WRONLY, 0)
	if err != nil {
		return cureSysctl(name, err)
	}
	defer f.Close()
	if _, err := f.WriteString(strconv.Itoa(value)); err != nil {
		return cureSysctl(name, err)
	}
	return nil
}
