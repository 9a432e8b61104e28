package health

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/google/renameio/v2"
)

const (
	// stateAge is how old an answer may be to count after a restart. What is
	// older says nothing about the server now.
	stateAge = 5 * time.Minute
	// saveEvery is how often the file is written where a verdict changed,
	// refreshEvery where none did: the answers' age is in it.
	saveEvery, refreshEvery = 5 * time.Second, time.Minute
	stateVersion            = 1
)

// A stateFile is the path of the file that states outlive the process in.
type stateFile string

// savedStates is what the file holds.
type savedStates struct {
	Version int                   `json:"version"`
	Checks  map[string]savedState `json:"checks"`
}

type savedState struct {
	Up    bool      `json:"up"`
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
	// Less is how many percent of its weight the server does without: an older
	// file has none, and an older program does not know it.
	Less   int    `json:"less,omitempty"`
	Reason string `json:"reason,omitempty"`
	Fell   bool   `json:"fell,omitempty"`
}

// stateKey names a check in the file. It is a hash: headers may hold secrets.
func stateKey(c Check) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", c.question()))
	return hex.EncodeToString(sum[:16])
}

// read returns all states, however old.
func (f stateFile) read() (map[string]State, error) {
	if f == "" {
		return nil, nil
	}
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	states, err := parseStates(b)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", f, err)
	}
	return states, nil
}

func parseStates(b []byte) (map[string]State, error) {
	var saved savedStates
	if err := json.Unmarshal(b, &saved); err != nil {
		return nil, err
	}
	if saved.Version != stateVersion {
		return nil, fmt.Errorf("version %d: this program writes version %d", saved.Version, stateVersion)
	}
	states := map[string]State{}
	for key, s := range saved.Checks {
		states[key] = State{
			Up: s.Up, Known: true, Since: s.Since, Fell: s.Fell && !s.Up, Last: s.Last,
			Percent: max(0, min(whole-s.Less, whole)), Reason: s.Reason,
		}
	}
	return states, nil
}

// fresh reports whether an earlier run's state still counts. An answer of the
// future was written before the clock was set.
func fresh(s State, now time.Time) bool {
	age := now.Sub(s.Last)
	return 0 <= age && age <= stateAge
}

// write replaces the file, whole or not at all.
func (f stateFile) write(saved savedStates) error {
	b, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	return renameio.WriteFile(string(f), b, 0o600)
}

// keepSaved writes the file from time to time until ctx ends.
func (m *Monitor) keepSaved(ctx context.Context) {
	if m.file == "" {
		return
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	saved := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			m.mu.Lock()
			unsaved := m.unsaved
			m.mu.Unlock()
			if unsaved || now.Sub(saved) >= refreshEvery {
				m.save()
				saved = now
			}
		}
	}
}

// save writes the file. What an earlier run knew of checks that are not in the
// set is gone with it.
func (m *Monitor) save() {
	if m.file == "" {
		return
	}
	saved := savedStates{Version: stateVersion, Checks: map[string]savedState{}}
	m.mu.Lock()
	m.unsaved = false
	for _, j := range m.jobs {
		if s := j.state; s.Known {
			saved.Checks[j.key] = savedState{s.Up, s.Since, s.Last, whole - s.Percent, s.Reason, s.Fell}
		}
	}
	m.mu.Unlock()
	if err := m.file.write(saved); err != nil {
		m.log.Warn("states cannot be written, the next start asks all servers anew", "err", err)
	}
}
