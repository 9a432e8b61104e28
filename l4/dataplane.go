// Package l4 spreads the connections of virtual addresses over servers.
//
// It decides in pure code: Plan says what a dataplane should hold, from the
// configuration, what health knows and which addresses this node owns; Diff
// says which operations turn what it holds into that. A Reconciler reads,
// plans, compares and applies, over and over, because a dataplane belongs to
// the whole machine: what another tool removed is put back, and what another
// tool added is left alone.
package l4

import "fmt"

// A Dataplane makes the kernel match a State. Read reports what the kernel has
// now, whoever put it there. Neither is called by two goroutines at once.
type Dataplane interface {
	Read() (State, error)
	Apply(Op) error
}

// An OpKind is what an Op does.
type OpKind uint8

// The kinds of Op, each with the fields it uses.
const (
	SetSysctl   OpKind = iota // Sysctl, Value
	SetTimeouts               // Timeouts
	AddService                // Service, and Destinations to begin with
	SetService                // Service
	DelService                // Service.Key
	AddDest                   // Service.Key, Dest
	SetDest                   // Service.Key, Dest
	DelDest                   // Service.Key, Dest.Addr
	StartDaemon               // Role, Daemon
	StopDaemon                // Role
)

// An Op is one change of a dataplane: one message to the kernel.
type Op struct {
	Kind     OpKind
	Sysctl   string
	Value    int
	Timeouts Timeouts
	// Service is what the operation concerns; its Destinations are nil, but
	// for those that AddService brings along, in the order in which they are
	// added: no client finds the service without them.
	Service VirtualService
	Dest    Destination
	Role    Role
	Daemon  Daemon
}

// String says what the operation does: "add tcp 192.0.2.10:80 mh".
func (o Op) String() string {
	k, d := o.Service.Key, o.Dest
	switch o.Kind {
	case SetSysctl:
		return fmt.Sprintf("set net.ipv4.vs.%s = %d", o.Sysctl, o.Value)
	case SetTimeouts:
		return fmt.Sprintf("set timeouts tcp %s tcp_fin %s udp %s", o.Timeouts.TCP, o.Timeouts.TCPFin, o.Timeouts.UDP)
	case AddService:
		s := fmt.Sprintf("add %s %s", k, o.Service.Scheduler)
		if n := len(o.Service.Destinations); n > 0 {
			s += fmt.Sprintf(" with servers: %d", n)
		}
		return s
	case SetService:
		return fmt.Sprintf("set %s %s", k, o.Service.Scheduler)
	case DelService:
		return fmt.Sprintf("delete %s", k)
	case AddDest:
		return fmt.Sprintf("add %s -> %s weight %d", k, d.Addr, d.Weight)
	case SetDest:
		return fmt.Sprintf("set %s -> %s weight %d", k, d.Addr, d.Weight)
	case StartDaemon:
		return fmt.Sprintf("start sync daemon %s on %s with id %d", o.Role, o.Daemon.Interface, o.Daemon.ID)
	case StopDaemon:
		return fmt.Sprintf("stop sync daemon %s", o.Role)
	}
	return fmt.Sprintf("delete %s -> %s", k, d.Addr)
}
