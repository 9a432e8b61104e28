package vrrp

import "fmt"

// State is a state of RFC 9568, section 6.4.
type State uint8

// The states.
const (
	Initialize State = iota // not taking part: stopped
	Backup
	Active
	Fault // not taking part until something is mended; not of the RFC, but of keepalived
)

func (s State) String() string {
	switch s {
	case Backup:
		return "Backup"
	case Active:
		return "Active"
	case Fault:
		return "Fault"
	}
	return "Initialize"
}

// MarshalText makes a state its name in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a state.
func (s *State) UnmarshalText(b []byte) error {
	for _, known := range []State{Initialize, Backup, Active, Fault} {
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
	OtherActive    Reason = "another took over in the meantime"
	Faulty         Reason = "fault"
	Stalled        Reason = "was stalled: another may have taken over"
	NoBetter       Reason = "stood for election, and nobody is better"
	Degraded       Reason = "its priority fell: stands for election"
	WithGroup      Reason = "follows its sync group"
)
