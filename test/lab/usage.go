package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc (USER_HZ).
const tick = time.Second / 100

// CPU is the time that the program and its children have spent on processors,
// as far as they have not ended.
func (p *Proc) CPU() (spent time.Duration) {
	p.cmd.node.lab.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	p.cmd.node.check("processes", err)
	pid := strconv.Itoa(p.Pid())
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended since
		}
		// proc_pid_stat(5), from the third field: the second may hold anything.
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest)
		if len(f) < 13 || f[4-3] != pid && filepath.Base(filepath.Dir(path)) != pid {
			continue
		}
		for _, field := range f[14-3 : 16-3] { // user and system
			n, _ := strconv.Atoi(field)
			spent += time.Duration(n) * tick
		}
	}
	return spent
}
