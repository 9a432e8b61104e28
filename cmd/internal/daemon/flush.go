package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/guard"
	"github.com/portico-lb/portico/l4/ipvs"
	"github.com/portico-lb/portico/l4/xdp"
	"github.com/portico-lb/portico/l7/podroutes"
	"github.com/portico-lb/portico/vip"
)

// Flush removes what a stopped director left in the kernel: the services that
// its record names, XDP's program and maps, the guard's table, the routes and addresses that carry our
// mark, the sysctls it changed. A file that cannot be used does not hinder it: what is
// ours is known without.
func Flush(ctx context.Context, path string, stderr io.Writer) error {
	c, err := config.Load(path, func(string) bool { return false })
	if err != nil {
		fmt.Fprintf(stderr, "portico: %v\nportico: flushing with the default directories\n", err)
		if c, err = config.Defaults(); err != nil {
			return err
		}
	}
	var running Status
	if err := admin.Get(ctx, c.Admin.Socket, "/api/v1/status", &running); err == nil {
		return fmt.Errorf("portico runs and would put everything back: systemctl stop portico")
	}
	log := newLogger(stderr, config.Log{Text: true}, c.Log.Level)
	var errs []error
	if err := xdp.Flush(Pins(c)); err != nil {
		errs = append(errs, fmt.Errorf("xdp: %w", err))
	}
	plane := ipvs.New()
	defer plane.Close()
	if err := plane.Open(); err != nil {
		// Without ip_vs there are no services to remove.
		log.Info("no services to remove", "reason", err)
	} else if err := l4.Flush(plane, filepath.Join(c.Node.RunDir, l4Record)); err != nil {
		errs = append(errs, fmt.Errorf("services: %w", err))
	}
	if err := guard.Flush(); err != nil {
		errs = append(errs, fmt.Errorf("guard: %w", err))
	}
	if err := podroutes.Flush(); err != nil {
		errs = append(errs, fmt.Errorf("routes to pods: %w", err))
	}
	if err := vip.Flush(vip.Options{Log: log, StateDir: c.Node.RunDir}); err != nil {
		errs = append(errs, fmt.Errorf("addresses: %w", err))
	}
	return errors.Join(errs...)
}
