package package_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The operator's commands tell what they are in a file of the only directory
// where the director's unit lets them write.
const (
	trackFile   = "/run/portico/track.told"
	notifyFile  = "/run/portico/notify.told"
	tellsTrack  = `["/bin/sh", "-c", "exec cat /proc/self/status /proc/self/stat >` + trackFile + `"]`
	tellsNotify = `["/bin/sh", "-c", "exec cat /proc/self/status /proc/self/stat >` + notifyFile + `"]`
)

// commands: the director is realtime and privileged, what it starts is not.
func commands(t *testing.T) {
	scheduled(t)
	for _, file := range []string{trackFile, notifyFile} {
		var status, stat string
		eventually(t, file, func() bool {
			b, err := os.ReadFile(file)
			status, stat, _ = strings.Cut(string(b), "(cat) ")
			return err == nil && strings.HasSuffix(stat, "\n")
		})
		for _, capabilities := range []string{"CapPrm", "CapEff", "CapAmb"} {
			if !strings.Contains(status, capabilities+":\t0000000000000000\n") {
				t.Errorf("%s: %s is not empty:\n%s", file, capabilities, status)
			}
		}
		pid := regexp.MustCompile(`(?m)^Pid:\t(.*)$`).FindStringSubmatch(status)
		f := strings.Fields(stat) // proc_pid_stat(5), from the third field
		group, nice, policy := f[5-3], f[19-3], f[41-3]
		if pid == nil || group != pid[1] || nice != "0" || policy != "0" {
			t.Errorf("%s: group %s, nice %s, policy %s: want one of its own, 0, 0:\n%s", file, group, nice, policy, status)
		}
	}
}

// scheduled checks all threads: the director goes before other programs, the
// proxy does not.
func scheduled(t *testing.T) {
	t.Helper()
	for unit, policy := range map[string]string{"portico": "2", "portico-l7": "0"} {
		// Not at every moment: a thread that starts a command is as that will be.
		eventually(t, "policy "+policy+" for all threads of "+unit, func() bool {
			threads, err := filepath.Glob("/proc/" + mainPID(t, unit) + "/task/*/stat")
			return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, func(thread string) bool {
				b, err := os.ReadFile(thread)
				_, stat, _ := strings.Cut(string(b), ") ")
				return err == nil && strings.Fields(stat)[41-3] != policy // or it ended meanwhile
			})
		})
	}
}
