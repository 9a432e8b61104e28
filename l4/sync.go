package l4

import (
	"cmp"
	"fmt"
	"net/netip"
)

// A Role is what a sync daemon does; the numbers are the kernel's
// (include/uapi/linux/ip_vs.h, IP_VS_STATE_*). A dataplane has at most one of
// each.
type Role uint32

// The roles.
const (
	Master Role = 1 // tells other directors of this one's connections
	Backup Role = 2 // listens to them
)

// roles are in the order in which their daemons are brought to what is wanted.
var roles = [...]Role{Master, Backup}

// String returns the role as ipvsadm prints it.
func (r Role) String() string {
	switch r {
	case Master:
		return "master"
	case Backup:
		return "backup"
	}
	return fmt.Sprintf("role %d", uint32(r))
}

// A Daemon is what the kernel's thread that sends connections to the other
// directors, or receives them, is told. The zero Daemon is none.
type Daemon struct {
	// Interface carries the multicast.
	Interface string
	// ID, 0 to 255, tells groups of directors on one network apart; a backup
	// with 0 listens to all.
	ID int
	// Group and Port are where it is sent.
	Group netip.Addr
	Port  uint16
	// TTL of the packets, 1 to 255.
	TTL uint8
	// MaxLen is the largest message, in bytes; in a wanted state 0 is what
	// fits the interface.
	MaxLen int
}

// String returns "eth0 51 224.0.0.81 8848 1 0": the fields in order.
func (d Daemon) String() string {
	return fmt.Sprintf("%s %d %s %d %d %d", d.Interface, d.ID, d.Group, d.Port, d.TTL, d.MaxLen)
}

// parseDaemon reads "master" and what Daemon.String returns.
func parseDaemon(s string) (r Role, d Daemon, err error) {
	var role, group string
	if _, err = fmt.Sscan(s, &role, &d.Interface, &d.ID, &group, &d.Port, &d.TTL, &d.MaxLen); err != nil {
		return 0, d, fmt.Errorf("%q is not a sync daemon: %w", s, err)
	}
	for _, r = range roles {
		if r.String() == role {
			d.Group, err = netip.ParseAddr(group)
			return r, d, err
		}
	}
	return 0, d, fmt.Errorf("%q is not a sync daemon", s)
}

// as reports whether a daemon that runs is the one that is wanted.
func (d Daemon) as(want Daemon) bool {
	want.MaxLen = cmp.Or(want.MaxLen, d.MaxLen)
	return d == want
}

// backupOnly has IPVS balance nothing at all while a backup daemon runs.
const backupOnly = "backup_only"

// planSync adds to a wanted state who tells of connections and who listens:
// the owner of any address tells, and who does not own all of them listens.
// One that owns none has the others' connections in its table, and would
// balance by them again what the owner sent to it, were it not for backup_only.
func planSync(want *State, cfg Config, owned func(netip.Addr) bool) {
	if cfg.Sync == (Daemon{}) || len(cfg.Services) == 0 {
		return
	}
	one, all := false, true
	for _, s := range cfg.Services {
		for _, key := range s.Keys() {
			o := s.owned(key, owned)
			one, all = one || o, all && o
		}
	}
	want.Daemons = map[Role]Daemon{Master: {}, Backup: {}}
	if one {
		want.Daemons[Master] = cfg.Sync
	}
	if !all {
		want.Daemons[Backup] = cfg.Sync
	}
	want.Sysctls[backupOnly] = 1
	if one {
		want.Sysctls[backupOnly] = 0
	}
}

// diffDaemons brings the daemons to what is wanted of them. One whose settings
// differ is replaced: the kernel changes none that runs.
func diffDaemons(have, want map[Role]Daemon) []Op {
	var ops []Op
	for _, r := range roles {
		h, runs := have[r]
		w, meant := want[r]
		if !meant || runs && h.as(w) {
			continue
		}
		if runs {
			ops = append(ops, Op{Kind: StopDaemon, Role: r})
		}
		if w != (Daemon{}) {
			ops = append(ops, Op{Kind: StartDaemon, Role: r, Daemon: w})
		}
	}
	return ops
}

// disown adds to a wanted state that daemons which were started for it run no
// more, where no state says what is wanted of their role, and that backup_only
// is again what it was before, as are timeouts that nobody wants otherwise. A
// daemon that another tool put in the place of one of them is left alone.
func (r record) disown(want *State, have State) {
	want.Timeouts = want.Timeouts.or(r.timeouts)
	for role, d := range r.daemons {
		if _, meant := want.Daemons[role]; meant {
			continue
		}
		if h, runs := have.Daemons[role]; runs && h.as(d) {
			want.Daemons = with(want.Daemons, role, Daemon{})
		}
		if found, ok := r.found[backupOnly]; ok {
			want.Sysctls = with(want.Sysctls, backupOnly, found)
		}
	}
}

// with returns m, or a map where it is nil, with one more entry.
func with[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	if m == nil {
		m = map[K]V{}
	}
	m[k] = v
	return m
}

// A SyncStatus is which sync daemons run here.
type SyncStatus struct {
	Interface string `json:"interface"`
	ID        int    `json:"id"`
	// Master tells the others of this node's connections, Backup listens to
	// theirs. BackupOnly says that IPVS balances nothing while it listens.
	Master     bool `json:"master"`
	Backup     bool `json:"backup"`
	BackupOnly bool `json:"backup_only"`
}

func (v view) sync() *SyncStatus {
	d := v.cfg.Sync
	if d == (Daemon{}) {
		return nil
	}
	runs := func(r Role) bool {
		h, ok := v.have.Daemons[r]
		return ok && h.as(d)
	}
	return &SyncStatus{
		Interface: d.Interface, ID: d.ID, Master: runs(Master), Backup: runs(Backup),
		BackupOnly: v.have.Sysctls[backupOnly] == 1,
	}
}
