package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/daemon"
)

// checkConfig: the file has no fault, and is what runs.
func checkConfig(_ context.Context, n *Node) []Finding {
	if errors.Is(n.ConfigErr, fs.ErrPermission) {
		return skip(n.ConfigPath + " may not be read: run this as root or as a member of the group portico; what depends on it is not looked at")
	}
	var changed time.Time
	if info, err := fs.Stat(n.Files, inFS(n.ConfigPath)); err == nil {
		changed = info.ModTime()
	}
	return judgeConfig(n.ConfigPath, n.ConfigErr, changed, running(n))
}

// running is what the services say that run, the director first.
func running(n *Node) []*daemon.Status {
	var out []*daemon.Status
	if n.Director != nil {
		out = append(out, n.Director)
	}
	if n.Proxy != nil && n.Proxy != n.Director {
		out = append(out, n.Proxy)
	}
	return out
}

func judgeConfig(path string, err error, changed time.Time, runs []*daemon.Status) []Finding {
	var out []Finding
	var faults config.Faults
	switch {
	case errors.As(err, &faults):
		for _, f := range faults {
			out = append(out, fail(f.String(), "a start fails, and a reload changes nothing", "portico check --config "+path))
		}
	case err != nil:
		out = append(out, fail(err.Error(), "without its file portico does not start", "editor "+path))
	}
	for _, s := range runs {
		part := "the director"
		if s.L7 != nil {
			part = "the proxy"
		}
		switch c := s.Config; {
		case c.Path != path:
		case c.Error != "":
			out = append(out, fail(fmt.Sprintf("%s goes on with an older configuration: %s", part, c.Error), "what was changed since is not applied", "portico check --config "+path, "systemctl reload portico"))
		case err == nil && changed.After(c.Loaded):
			out = append(out, warn(fmt.Sprintf("%s was changed at %s, after %s read it", path, changed.Format(time.DateTime), part), "what was changed is not applied", "systemctl reload portico"))
		}
	}
	return orOK(out, path+" has no faults")
}
