package health

// A Snapshot is what was known about all checks at one moment. It never
// changes, so it may be kept and read from anywhere.
type Snapshot struct {
	states map[Check]State
}

// NewSnapshot returns a snapshot of the given states, which it keeps.
func NewSnapshot(states map[Check]State) *Snapshot {
	return &Snapshot{states: states}
}

// State returns what is known about c: the zero State when it was never asked.
// A nil Snapshot knows nothing.
func (s *Snapshot) State(c Check) State {
	if s == nil {
		return State{}
	}
	return s.states[c]
}
