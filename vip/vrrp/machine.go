package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// State is a state of RFC 9568, section 6.4.
type State uint8

// The states.
const (
	Initialize State = iota // not taking part: stopped, or its interface cannot be used
	Backup
	Active
)

func (s State) String() string {
	switch s {
	case Backup:
		return "Backup"
	case Active:
		return "Active"
	}
	return "Initialize"
}

// MarshalText makes a state its name in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a state.
func (s *State) UnmarshalText(b []byte) error {
	for _, known := range []State{Initialize, Backup, Active} {
		if known.String() == string(b) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("%q is no VRRP state", b)
}

// Reason says why the machine last changed its state.
type Reason string

// The reasons.
const (
	Started        Reason = "started"
	Stopped        Reason = "stopped"
	HandingOver    Reason = "handing over to a successor"
	NoActive       Reason = "no Active heard"
	Resigned       Reason = "the Active resigned"
	Preempted      Reason = "the Active has a lower priority"
	Adopted        Reason = "still held the addresses after a restart"
	HigherPriority Reason = "heard a higher priority"
	HigherAddress  Reason = "heard an equal priority from a higher address"
	OtherActive    Reason = "another took over during the restart"
)

// Config is what a Machine needs to know. All of it may change while it runs.
type Config struct {
	Version      uint8         // 2 or 3
	Priority     uint8         // 1 to 255
	Interval     time.Duration // own advertisement interval
	Preempt      bool          // take over from an Active of lower priority
	PreemptDelay time.Duration // how long such an Active is left in peace first
	Address      netip.Addr    // own primary address, which decides between equal priorities
}

// An Event is a Start, Leave, Stop, Tick, Reconfigure or Advert.
type Event interface{ event() }

type (
	// Start leaves Initialize. Holding says that the addresses already stand
	// on the interface, left by a process that did not end well.
	Start struct{ Holding bool }
	// Leave enters Initialize too, but keeps the addresses up until another
	// router has them: make before break.
	Leave struct{}
	// Stop enters Initialize at once: the interface cannot be used.
	Stop struct{}
	// Tick says that time has passed.
	Tick struct{}
	// Reconfigure replaces the Config and disturbs no timer.
	Reconfigure struct{ Config Config }
	// Advert is an accepted packet of another router.
	Advert struct {
		Src      netip.Addr
		Priority uint8
		Interval time.Duration
	}
)

func (Start) event()       {}
func (Leave) event()       {}
func (Stop) event()        {}
func (Tick) event()        {}
func (Reconfigure) event() {}
func (Advert) event()      {}

// Action is something the caller must do, in the order given.
type Action uint8

// The actions.
const (
	Advertise Action = iota // send an advertisement
	Resign                  // send an advertisement of priority 0
	Acquire                 // the machine became Active: put up the addresses and announce them
	Release                 // it holds the addresses no longer: take them down
	Announce                // announce the addresses again: someone else claimed them
)

// Machine is the state machine of one virtual router. It always starts as
// Backup, whatever its priority: the address owner of RFC 9568 (priority 255)
// does not exist among equals that share an address.
type Machine struct {
	cfg      Config
	state    State
	reason   Reason
	deadline time.Time

	adopting       bool          // Backup that still has the addresses up, see Start and Leave
	leaving        bool          // adopting, but only until a successor is heard
	resigned       bool          // the last advert heard had priority 0
	activeInterval time.Duration // Active_Adver_Interval of RFC 9568, section 6.1
	active         netip.Addr    // source of the last advert that ruled us
	activePriority uint8
	lowerSince     time.Time // when a lower priority was first heard; PreemptDelay counts from here
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

// ActiveRouter returns address and priority of the Active last heard; in
// state Active its own.
func (m *Machine) ActiveRouter() (netip.Addr, uint8) { return m.active, m.activePriority }

// Deadline is when Step must next run with Tick; the zero time means never.
func (m *Machine) Deadline() time.Time { return m.deadline }

// Step advances the machine to now with one event and says what to do about
// it. It reads no clock, opens no socket and logs nothing.
func (m *Machine) Step(now time.Time, ev Event) []Action {
	switch ev := ev.(type) {
	case Start:
		return m.start(now, ev.Holding)
	case Leave:
		return m.leave(now)
	case Stop:
		return m.stop()
	case Tick:
		return m.tick(now)
	case Reconfigure:
		return m.reconfigure(now, ev.Config)
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

// start begins as Backup. Holding the addresses, it waits one interval for an
// Active instead of three: nobody else takes over before three have passed
// since the crashed process's last advert, so coming back in time is no failover.
func (m *Machine) start(now time.Time, holding bool) []Action {
	if m.state != Initialize {
		return nil
	}
	m.state, m.reason = Backup, Started
	m.adopting, m.resigned = holding, false
	m.activeInterval, m.lowerSince = m.cfg.Interval, time.Time{}
	m.active, m.activePriority = netip.Addr{}, 0
	wait := m.downInterval()
	if holding {
		wait = m.cfg.Interval + m.skew()
	}
	m.deadline = now.Add(wait)
	return nil
}

// leave resigns and goes on holding the addresses until a successor is heard.
// A Backup takes over a skew later, up to an interval; were the addresses and
// what stands on them gone in between, connections that live on other nodes
// would be reset here. It is Adopting meanwhile.
func (m *Machine) leave(now time.Time) []Action {
	if m.state != Active && !m.adopting {
		return m.stop()
	}
	m.state, m.reason = Backup, HandingOver
	m.adopting, m.leaving = true, true
	m.active, m.activePriority = netip.Addr{}, 0
	m.deadline = now.Add(min(max(2*m.cfg.Interval, handOverLeast), handOverMost))
	return []Action{Resign}
}

// How long leave waits for a successor: twice what its skew may be, within
// what a person waits for a stop. One that was heard gets a little longer: it
// has its services and announces itself only after its first advert, which
// takes milliseconds, and more where its processors are busy.
const (
	handOverLeast = 500 * time.Millisecond
	handOverMost  = time.Second
	handOverMore  = 250 * time.Millisecond
)

// left ends leave.
func (m *Machine) left() []Action {
	m.stop()
	return []Action{Release}
}

// stop resigns also while adopting: the peers would else wait for a router
// that holds the addresses but never spoke.
func (m *Machine) stop() []Action {
	held := m.state == Active || m.adopting
	m.state, m.reason, m.deadline = Initialize, Stopped, time.Time{}
	m.adopting, m.leaving = false, false
	m.active, m.activePriority = netip.Addr{}, 0
	if held {
		return []Action{Resign, Release}
	}
	return nil
}

func (m *Machine) tick(now time.Time) []Action {
	if m.deadline.IsZero() || now.Before(m.deadline) {
		return nil
	}
	if m.state == Active {
		// Counted from the deadline, so that a late wake-up does not
		// stretch the interval; after a stall the lost adverts are not made up for.
		m.deadline = m.deadline.Add(m.cfg.Interval)
		if !m.deadline.After(now) {
			m.deadline = now.Add(m.cfg.Interval)
		}
		return []Action{Advertise}
	}
	if m.leaving {
		return m.left()
	}
	reason := NoActive
	switch {
	case m.adopting:
		reason = Adopted
	case m.resigned:
		reason = Resigned
	case !m.lowerSince.IsZero():
		reason = Preempted
	}
	return m.activate(now, reason)
}

// reconfigure lets an Active say its new priority and interval at once.
func (m *Machine) reconfigure(now time.Time, c Config) []Action {
	old := m.cfg
	m.cfg = c
	if m.state == Active && c != old {
		m.deadline = now.Add(c.Interval)
		m.active, m.activePriority = c.Address, c.Priority
		return []Action{Advertise}
	}
	return nil
}

// activate is "Transition to the Active state" of RFC 9568, section 6.4.2.
func (m *Machine) activate(now time.Time, r Reason) []Action {
	m.state, m.reason = Active, r
	m.adopting, m.resigned, m.lowerSince = false, false, time.Time{}
	m.active, m.activePriority = m.cfg.Address, m.cfg.Priority
	m.deadline = now.Add(m.cfg.Interval)
	return []Action{Advertise, Acquire}
}

// backupHears is RFC 9568, section 6.4.2, with preempt_delay.
func (m *Machine) backupHears(now time.Time, ad Advert) []Action {
	if m.leaving {
		// One of priority 0 leaves as we do.
		if ad.Priority != 0 && !m.active.IsValid() {
			m.active, m.activePriority = ad.Src, ad.Priority
			m.deadline = now.Add(handOverMore)
		}
		return nil
	}
	if ad.Priority == 0 {
		m.resigned = true
		m.deadline = now.Add(m.skew())
		return nil
	}
	if ad.Priority < m.cfg.Priority && m.cfg.Preempt {
		if m.lowerSince.IsZero() {
			m.lowerSince = now
		}
		if now.Sub(m.lowerSince) >= m.cfg.PreemptDelay {
			if m.adopting {
				// Two routers have the addresses up now. Preemption would take
				// them back in three intervals anyway; doing it at once ends
				// the conflict at once.
				return m.activate(now, Preempted)
			}
			return nil // not heard: the timer runs out
		}
	} else {
		m.lowerSince = time.Time{}
	}
	release := m.adopting
	if release {
		m.reason = OtherActive
	}
	m.follow(now, ad)
	if release {
		return []Action{Release}
	}
	return nil
}

// activeHears is RFC 9568, section 6.4.3: who speaks with a
// lower priority does not hear us or has just come back from a partition, and
// switches may have learnt his address.
func (m *Machine) activeHears(now time.Time, ad Advert) []Action {
	higherAddress := ad.Priority == m.cfg.Priority && m.cfg.Address.Less(ad.Src)
	switch {
	case ad.Priority == 0:
		m.deadline = now.Add(m.cfg.Interval)
		return []Action{Advertise}
	case ad.Priority > m.cfg.Priority, higherAddress:
		m.state, m.reason = Backup, HigherPriority
		if higherAddress {
			m.reason = HigherAddress
		}
		m.follow(now, ad)
		return []Action{Release}
	}
	m.deadline = now.Add(m.cfg.Interval)
	return []Action{Advertise, Announce}
}

// follow accepts ad's sender as the Active, and in version 3 its interval
// (RFC 9568, section 6.4.2).
func (m *Machine) follow(now time.Time, ad Advert) {
	m.adopting, m.resigned = false, false
	m.active, m.activePriority = ad.Src, ad.Priority
	m.activeInterval = m.cfg.Interval
	if m.cfg.Version == 3 {
		m.activeInterval = ad.Interval
	}
	m.deadline = now.Add(m.downInterval())
}

// skew makes the best candidate speak first (RFC 9568, section 6.1). Version 2
// counts it in parts of a second, whatever the interval (RFC 3768, section 6.1).
func (m *Machine) skew() time.Duration {
	unit := m.activeInterval
	if m.cfg.Version == 2 {
		unit = time.Second
	}
	return time.Duration(256-int(m.cfg.Priority))*unit/256 + m.tie(unit)
}

// tie lets one of several Backups of equal priority speak first, the higher
// address as everywhere else, instead of all in the same millisecond. It stays
// below the step from one priority to the next, and so changes nothing between
// different ones.
func (m *Machine) tie(unit time.Duration) time.Duration {
	address := m.cfg.Address.AsSlice()
	if len(address) == 0 {
		return 0
	}
	const slots = 4
	return time.Duration(slots-1-address[len(address)-1]%slots) * unit / (256 * slots)
}

// downInterval is how long a Backup waits without hearing an Active before it
// takes over: Active_Down_Interval of RFC 9568, section 6.1.
func (m *Machine) downInterval() time.Duration {
	return 3*m.activeInterval + m.skew()
}
