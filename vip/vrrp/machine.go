package vrrp

import (
	"net/netip"
	"time"
)

// Config is what a Machine needs to know. All of it may change while it runs.
type Config struct {
	Version      uint8         // 2 or 3
	Priority     uint8         // 1 to 255, as configured
	Delta        int           // what tracking adds to it
	Interval     time.Duration // own advertisement interval
	Preempt      bool          // take over from an Active of lower priority
	PreemptDelay time.Duration // how long such an Active is left in peace first
	Address      netip.Addr    // own primary address, which decides between equal priorities
	// Synced says that the router belongs to a sync group: unless the Active
	// resigned it does not take over by itself, but is Ready and waits for Promote.
	Synced bool
	// Seed is a number of chance: by it two nodes differ whose contest would else
	// repeat itself.
	Seed uint32
}

// Effective is the priority with what tracking adds: tracking alone reaches
// neither 0, which resigns, nor 255, the address owner's.
func (c Config) Effective() uint8 {
	if c.Delta == 0 {
		return c.Priority
	}
	return uint8(min(max(int(c.Priority)+c.Delta, 1), 254))
}

// Machine is the state machine of one virtual router. It always starts as
// Backup, whatever its priority: the address owner of RFC 9568 (priority 255)
// does not exist among equals that share an address.
type Machine struct {
	cfg      Config
	state    State
	reason   Reason
	deadline time.Time // of the next advert, or of the election
	wake     time.Time // what Deadline returns

	adopting bool      // Backup that still has the addresses up
	graceful bool      // adopting, but only until shortly after a successor was heard
	until    time.Time // when adopting ends at the latest; zero: with the election
	leaving  bool      // at until the machine enters the state end
	end      State
	resigned bool // the last advert heard had priority 0
	ready    bool // Synced: the election is due

	activeInterval time.Duration // Active_Adver_Interval of RFC 9568, section 6.1
	active         netip.Addr    // source of the last advert that ruled us
	activePriority uint8
	lowerSince     time.Time // when a lower priority was first heard; PreemptDelay counts from here

	spoke  time.Time // the latest advert of an Active
	doubts int       // see distrust
	// contested is when a sync group was last lost to an equal, contests how
	// often that was: see backOff.
	contested time.Time
	contests  int
}

// NewMachine returns a machine in Initialize.
func NewMachine(c Config) *Machine { return &Machine{cfg: c} }

// State returns the present state.
func (m *Machine) State() State { return m.state }

// Reason returns why it is in this state.
func (m *Machine) Reason() Reason { return m.reason }

// Adopting reports whether it is a Backup that still keeps the addresses up
// until it knows whether another took them.
func (m *Machine) Adopting() bool { return m.adopting }

// Leaving reports whether it hands over to a successor before it ends in
// Initialize or Fault.
func (m *Machine) Leaving() bool { return m.leaving }

// Effective is its priority with what tracking adds.
func (m *Machine) Effective() uint8 { return m.cfg.Effective() }

// Ready reports whether a member of a sync group would be Active by itself.
func (m *Machine) Ready() bool { return m.ready }

// ActiveRouter returns address and priority of the Active last heard; in
// state Active its own.
func (m *Machine) ActiveRouter() (netip.Addr, uint8) { return m.active, m.activePriority }

// Deadline is when Step must next run with Tick; the zero time means never.
func (m *Machine) Deadline() time.Time { return m.wake }

// Step advances the machine to now with one event and says what to do about
// it. It reads no clock, opens no socket and logs nothing. Now must not stop
// while the computer sleeps.
func (m *Machine) Step(now time.Time, ev Event) []Action {
	m.distrust(now)
	actions := m.handle(now, ev)
	for _, a := range actions {
		if a == Advertise {
			m.spoke = now
		}
	}
	m.wake = m.next(now)
	return actions
}

func (m *Machine) handle(now time.Time, ev Event) []Action {
	switch ev := ev.(type) {
	case Start:
		m.start(now, ev.Holding)
	case Leave:
		return m.leave(now, endState(ev.Fault))
	case Stop:
		return m.stop(endState(ev.Fault))
	case Tick:
		return m.tick(now)
	case Reconfigure:
		return m.reconfigure(now, ev.Config)
	case Promote:
		if m.state == Backup && !m.leaving {
			return m.activate(now, WithGroup)
		}
	case Yield:
		return m.yield(now)
	case Advert:
		switch m.state {
		case Backup:
			return m.backupHears(now, ev)
		case Active:
			return m.activeHears(now, ev)
		}
	}
	return nil
}

func endState(fault bool) State {
	if fault {
		return Fault
	}
	return Initialize
}

// start begins as Backup. Holding the addresses, it waits one interval for an
// Active instead of three: nobody else takes over before three have passed
// since the crashed process's last advert, so coming back in time is no failover.
// A machine that is leaving stays, in doubt as after a restart.
func (m *Machine) start(now time.Time, holding bool) {
	if m.leaving {
		holding = true
	} else if m.state == Backup || m.state == Active {
		return
	}
	m.reset(Backup, Started)
	m.adopting = holding
	m.deadline = now.Add(m.downInterval())
	if holding {
		m.deadline = now.Add(m.cfg.Interval + m.skew())
	}
}

// reset enters a state that knows nothing of what was before.
func (m *Machine) reset(s State, r Reason) {
	*m = Machine{cfg: m.cfg, state: s, reason: r, activeInterval: m.cfg.Interval, contested: m.contested, contests: m.contests}
}

// leave resigns and goes on holding the addresses until a successor is heard.
// A Backup takes over a skew later, up to an interval; were the addresses and
// what stands on them gone in between, connections that live on other nodes
// would be reset here. It is Adopting meanwhile.
func (m *Machine) leave(now time.Time, end State) []Action {
	switch {
	case m.leaving:
		m.end = end
		return nil
	case m.state != Active && !m.adopting:
		return m.stop(end)
	}
	m.reset(Backup, HandingOver)
	m.adopting, m.graceful, m.leaving, m.end = true, true, true, end
	m.until = now.Add(m.handOver())
	return []Action{Resign}
}

// How long a router that resigned waits for a successor: twice what its skew
// may be, within what a person waits for a stop. One that was heard gets a
// little longer: it has its services and announces itself only after its first
// advert, which takes milliseconds, and more where its processors are busy.
const (
	handOverLeast = 500 * time.Millisecond
	handOverMost  = time.Second
	handOverMore  = 250 * time.Millisecond
)

func (m *Machine) handOver() time.Duration {
	return min(max(2*m.cfg.Interval, handOverLeast), handOverMost)
}

// stop resigns also while adopting: the peers would else wait for a router
// that holds the addresses but never spoke.
func (m *Machine) stop(end State) []Action {
	held := m.state == Active || m.adopting
	m.reset(end, Stopped)
	if end == Fault {
		m.reason = Faulty
	}
	if held {
		return []Action{Resign, Release}
	}
	return nil
}

func (m *Machine) tick(now time.Time) []Action {
	switch m.state {
	case Active:
		if now.Before(m.deadline) {
			return nil
		}
		// Counted from the deadline, so that a late wake-up does not stretch
		// the interval; after a stall the lost adverts are not made up for.
		m.deadline = m.deadline.Add(m.cfg.Interval)
		if !m.deadline.After(now) {
			m.deadline = now.Add(m.cfg.Interval)
		}
		return []Action{Advertise}
	case Backup:
		return m.backupTick(now)
	}
	return nil
}

func (m *Machine) backupTick(now time.Time) []Action {
	if !m.until.IsZero() && !now.Before(m.until) {
		if m.leaving {
			m.stop(m.end)
		} else {
			m.adopting, m.graceful, m.until = false, false, time.Time{}
		}
		return []Action{Release}
	}
	if m.leaving || m.ready || now.Before(m.deadline) {
		return nil
	}
	reason := NoActive
	switch {
	case m.graceful:
		reason = NoBetter
	case m.adopting && m.reason != Stalled:
		reason = Adopted
	case m.resigned:
		reason = Resigned
	case !m.lowerSince.IsZero():
		reason = Preempted
	}
	if m.cfg.Synced && reason != Resigned {
		m.ready = true
		return nil
	}
	return m.activate(now, reason)
}

// reconfigure lets an Active say its new priority and interval at once. Where
// nobody preempts, one that tracking made worse must step back itself.
func (m *Machine) reconfigure(now time.Time, c Config) []Action {
	old := m.cfg
	m.cfg = c
	if m.state != Active || c == old {
		return nil
	}
	if !c.Preempt && c.Delta < old.Delta && c.Effective() < old.Effective() {
		return m.elect(now)
	}
	m.deadline = now.Add(c.Interval)
	m.active, m.activePriority = c.Address, c.Effective()
	return []Action{Advertise}
}
