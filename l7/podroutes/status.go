package podroutes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// A Status is what a Keeper keeps.
type Status struct {
	Routes []Route `json:"routes"`
	Faults []Fault `json:"faults,omitempty"`
	// From is the API server that is asked; Error is why it cannot be read
	// since ErrorSince.
	From       string    `json:"from,omitempty"`
	Error      string    `json:"error,omitempty"`
	ErrorSince time.Time `json:"error_since,omitzero"`
	// Read is when the API last had something new; the zero time means never.
	Read time.Time `json:"read,omitzero"`
}

// Status describes the Keeper. It is nil where it has nothing to do.
func (k *Keeper) Status() *Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.cfg.On {
		return nil
	}
	s := &Status{Routes: k.routes, Faults: k.faults, Read: k.read, Error: k.fault}
	if k.source != nil {
		s.From, s.Error, s.ErrorSince = k.source.Status()
	}
	return s
}

// version is of the file's form.
const version = 1

// saved is the file that the Nodes outlive a boot in.
type saved struct {
	Version int       `json:"version"`
	Read    time.Time `json:"read"`
	Nodes   []Node    `json:"nodes"`
}

// readFile reads the file at path; a missing one is nothing known.
func readFile(path string) (saved, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return saved{}, nil
	}
	if err != nil {
		return saved{}, err
	}
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return saved{}, fmt.Errorf("%s: %w", path, err)
	}
	if s.Version != version {
		return saved{}, fmt.Errorf("%s: version %d: this program writes version %d", path, s.Version, version)
	}
	return s, nil
}

// write replaces the file, whole or not at all.
func (s saved) write(path string) error {
	s.Version = version
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return renameio.WriteFile(path, b, 0o600)
}
