package vrrp

import "time"

// activate is "Transition to the Active state" of RFC 9568, section 6.4.2.
func (m *Machine) activate(now time.Time, r Reason) []Action {
	m.reset(Active, r)
	m.active, m.activePriority = m.cfg.Address, m.cfg.Effective()
	m.deadline = now.Add(m.cfg.Interval)
	return []Action{Advertise, Acquire}
}

// elect lets a degraded Active stand for election: its peers take over after
// their skew, which is shorter than its own if they are better. If nobody is,
// it goes on, and no address has moved.
func (m *Machine) elect(now time.Time) []Action {
	m.reset(Backup, Degraded)
	m.adopting, m.graceful = true, true
	m.deadline = now.Add(m.skew())
	return []Action{Resign}
}

// yield hands over because another member of the sync group is not Active. Two
// nodes of equal priority may each have won one link; that they yield at the
// same time must not repeat itself, so that each waits a time of its own, also
// where it has lost and hears the other one yield.
func (m *Machine) yield(now time.Time) []Action {
	if m.state != Active {
		return nil
	}
	m.reset(Backup, WithGroup)
	m.contest(now)
	m.adopting, m.graceful = true, true
	m.until = now.Add(m.handOver())
	m.deadline = now.Add(m.downInterval() + m.backOff(now))
	return []Action{Resign}
}

// contest notes that a sync group has lost a link to an equal.
func (m *Machine) contest(now time.Time) {
	if m.cfg.Synced {
		m.contests++
		m.contested = now
	}
}

// contestLength is how many intervals after a contest its parties may still be
// in it.
const contestLength = 4

// backOff is up to an interval while a contest goes on, and differs from node to
// node and from time to time (the multiplier is Knuth's, TAOCP volume 3, section
// 6.4). The interval is cut into as many parts as there are that differ by more
// than adverts take.
func (m *Machine) backOff(now time.Time) time.Duration {
	if m.contests == 0 || now.Sub(m.contested) > contestLength*m.cfg.Interval {
		return 0
	}
	const bits = 6
	n := (m.cfg.Seed + uint32(m.contests)) * 2654435761
	return time.Duration(n>>(32-bits)) * m.cfg.Interval >> bits
}

// backupHears is RFC 9568, section 6.4.2, with preempt_delay.
func (m *Machine) backupHears(now time.Time, ad Advert) []Action {
	switch {
	case m.leaving:
		// One of priority 0 leaves as we do.
		if ad.Priority != 0 && !m.active.IsValid() {
			m.active, m.activePriority = ad.Src, ad.Priority
			m.until = now.Add(handOverMore)
		}
		return nil
	case ad.Priority == 0:
		m.resigned, m.ready, m.doubts = true, false, 0
		m.deadline = now.Add(m.skew() + m.backOff(now))
		return nil
	case ad.Priority < m.cfg.Effective() && m.cfg.Preempt:
		if m.lowerSince.IsZero() {
			m.lowerSince = now
		}
		if now.Sub(m.lowerSince) < m.cfg.PreemptDelay {
			break
		}
		if m.adopting && !m.graceful && !m.cfg.Synced {
			// Two routers have the addresses up now. Preemption would take
			// them back in three intervals anyway; doing it at once ends
			// the conflict at once.
			return m.activate(now, Preempted)
		}
		return nil // not heard: the timer runs out
	default:
		m.lowerSince = time.Time{}
	}
	m.follow(now, ad)
	return m.passOn(now)
}

// passOn ends adopting, now that another is Active: at once where that one has
// been it for a while, else a little later.
func (m *Machine) passOn(now time.Time) []Action {
	switch {
	case !m.adopting:
		return nil
	case m.graceful:
		if more := now.Add(handOverMore); m.until.IsZero() || more.Before(m.until) {
			m.until = more
		}
		return nil
	}
	m.adopting, m.reason = false, OtherActive
	return []Action{Release}
}

// activeHears is RFC 9568, section 6.4.3: who speaks with a
// lower priority does not hear us or has just come back from a partition, and
// switches may have learnt his address.
func (m *Machine) activeHears(now time.Time, ad Advert) []Action {
	priority := m.cfg.Effective()
	higherAddress := ad.Priority == priority && m.cfg.Address.Less(ad.Src)
	switch {
	case ad.Priority == 0:
		m.deadline = now.Add(m.cfg.Interval)
		return []Action{Advertise}
	case ad.Priority > priority, higherAddress:
		m.reset(Backup, HigherPriority)
		if higherAddress {
			m.reason = HigherAddress
			m.contest(now)
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
	m.resigned, m.ready, m.doubts = false, false, 0
	m.active, m.activePriority = ad.Src, ad.Priority
	m.activeInterval = m.cfg.Interval
	if m.cfg.Version == 3 {
		m.activeInterval = ad.Interval
	}
	m.deadline = now.Add(m.downInterval())
}
