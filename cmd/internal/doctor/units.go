package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A unitFact is what systemd says of a service.
type unitFact struct {
	name               string
	load, file, active string // LoadState, UnitFileState, ActiveState
	restarts           int
	reload             bool // its file has changed since systemd read it
	stop               time.Duration
	directs, proxies   bool // whether the configuration has work for it
	since              string
}

// checkUnits: systemd brings both halves up at boot, and gives them the time
// that the configuration asks for.
func checkUnits(ctx context.Context, n *Node) []Finding {
	if _, err := fs.Stat(n.Files, "run/systemd/system"); err != nil {
		return skip("systemd does not run here")
	}
	var facts []unitFact
	for _, name := range []string{"portico.service", "portico-l7.service"} {
		text, err := output(ctx, "systemctl", "show", "--timestamp=utc", "-p", "LoadState,UnitFileState,ActiveState,NRestarts,NeedDaemonReload,TimeoutStopUSec,ActiveEnterTimestamp", name)
		if errors.Is(err, exec.ErrNotFound) || err != nil {
			return skip(err.Error())
		}
		facts = append(facts, parseUnit(name, string(text)))
	}
	facts[0].directs = len(n.Config.VIP.Groups) > 0 || len(n.Config.L4.Services) > 0
	facts[1].proxies = len(n.Config.L7.Entrypoints) > 0
	return judgeUnits(facts, n.Config.L7.StopDelay+2*n.Config.L7.Drain)
}

// parseUnit reads lines of KEY=VALUE.
func parseUnit(name, text string) unitFact {
	u := unitFact{name: name}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			u.load = value
		case "UnitFileState":
			u.file = value
		case "ActiveState":
			u.active = value
		case "NRestarts":
			u.restarts, _ = strconv.Atoi(value) // 0 where it is not told
		case "NeedDaemonReload":
			u.reload = value == "yes"
		case "TimeoutStopUSec":
			u.stop = parseSpan(value)
		case "ActiveEnterTimestamp":
			u.since = value
		}
	}
	return u
}

// parseSpan reads a time as systemd prints it, "1min 30s"; 0 is without end.
func parseSpan(s string) time.Duration {
	d, err := time.ParseDuration(strings.ReplaceAll(strings.ReplaceAll(s, "min", "m"), " ", ""))
	if err != nil {
		return 0
	}
	return d
}

func judgeUnits(units []unitFact, stop time.Duration) []Finding {
	var out []Finding
	for _, u := range units {
		needed := u.directs || u.proxies
		switch {
		case u.load == "not-found":
			out = append(out, warn(u.name+" is not installed", "a boot starts nothing", "apt-get install ./portico_*.deb"))
			continue
		case u.load == "masked":
			if needed {
				out = append(out, warn(u.name+" is masked, though the configuration has work for it", "its half of this node does not start", "systemctl unmask "+u.name, "systemctl enable --now "+u.name))
			}
			continue
		case u.active == "failed":
			out = append(out, fail(u.name+" has failed", "its half of this node is down", "journalctl -u "+u.name+" -n 50", "systemctl restart "+u.name))
		case u.active != "active" && u.active != "reloading" && needed:
			out = append(out, warn(u.name+" is "+u.active, "its half of this node is down", "systemctl enable --now "+u.name))
		case u.restarts > 0:
			out = append(out, warn(fmt.Sprintf("%s was started again %d times by systemd, last at %s", u.name, u.restarts, u.since), "each time something was interrupted", "journalctl -u "+u.name+" -p warning -n 50"))
		}
		if needed && u.file != "enabled" && u.active == "active" {
			out = append(out, warn(fmt.Sprintf("%s runs and is %s", u.name, u.file), "the next boot does not start it", "systemctl enable "+u.name))
		}
		if u.reload {
			out = append(out, warn("the file of "+u.name+" has changed since systemd read it", "the next start is not what the file says", "systemctl daemon-reload"))
		}
		if u.proxies && u.stop > 0 && u.stop < stop {
			drop := "/etc/systemd/system/" + u.name + ".d"
			out = append(out, warn(fmt.Sprintf("%s has TimeoutStopSec=%v, and l7.stop_delay with twice l7.drain make %v", u.name, u.stop, stop), "requests are cut off at a stop",
				"mkdir -p "+drop, fmt.Sprintf(`printf '[Service]\nTimeoutStopSec=%d\n' >%s/stop.conf`, int(stop.Seconds())+10, drop), "systemctl daemon-reload"))
		}
	}
	return orOK(out, "portico and portico-l7 are as the configuration needs them")
}
