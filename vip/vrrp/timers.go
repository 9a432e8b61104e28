package vrrp

import "time"

// next is when the machine must wake up. A Backup does so once an interval
// though it has nothing to do: by that it knows whether it slept.
func (m *Machine) next(now time.Time) time.Time {
	switch m.state {
	case Active:
		return m.deadline
	case Backup:
		wake := now.Add(m.activeInterval)
		if !m.ready && !m.leaving && m.deadline.Before(wake) {
			wake = m.deadline
		}
		if !m.until.IsZero() && m.until.Before(wake) {
			wake = m.until
		}
		return wake
	}
	return time.Time{}
}

// maxDoubts bounds how often in a row a Backup that wakes late listens anew:
// on a computer that is always late somebody must serve nevertheless.
const maxDoubts = 3

// distrust acts upon a stall: a suspended or overloaded computer, a paused
// virtual machine. An Active that was silent for three intervals must assume
// that another has taken over; it keeps the addresses until it has listened.
// A Backup that woke late may have adverts waiting in its socket, and hears
// them, and one more if there is an Active, before its election is held.
func (m *Machine) distrust(now time.Time) {
	switch {
	case m.state == Active && now.Sub(m.spoke) >= 3*m.cfg.Interval:
		m.reset(Backup, Stalled)
		m.adopting = true
	case m.state == Backup && !m.leaving && now.Sub(m.wake) >= m.activeInterval && m.doubts < maxDoubts:
		m.doubts++
		m.ready = false
	default:
		return
	}
	if listened := now.Add(m.activeInterval + m.skew()); listened.After(m.deadline) {
		m.deadline = listened
	}
}

// skew makes the best candidate speak first (RFC 9568, section 6.1). Version 2
// counts it in parts of a second, whatever the interval (RFC 3768, section 6.1).
func (m *Machine) skew() time.Duration {
	unit := m.activeInterval
	if m.cfg.Version == 2 {
		unit = time.Second
	}
	return time.Duration(256-int(m.cfg.Effective()))*unit/256 + m.tie(unit)
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
