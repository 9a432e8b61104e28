package nodes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/google/renameio/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l4"
)

// A set is what counts for one selector.
type set struct {
	Nodes []l4.Node `json:"nodes"`
	// Changed is when Nodes became what they are, Read when the API last said
	// so; the zero time where it has never been read.
	Changed time.Time `json:"changed"`
	Read    time.Time `json:"read"`
	// out are the Nodes that are left out. held says that these are all, and
	// that Nodes stay because of that.
	out  []LeftOut
	held bool
}

// next returns the set after a reading of all Nodes, and whether its Nodes have
// changed.
//
// It never goes from some to none: a cluster whose Nodes fail all at once has
// trouble between its API and its Nodes, and health tells what works. Who wants
// to be rid of them all says so in the configuration.
func (s set) next(all []*corev1.Node, now time.Time) (_ set, changed bool) {
	chosen, out := choose(all)
	s.Read, s.out = now, out
	s.held = len(chosen) == 0 && len(s.Nodes) > 0
	if changed = !s.held && !reflect.DeepEqual(chosen, s.Nodes); changed {
		s.Nodes, s.Changed = chosen, now
	}
	return s, changed
}

// version is of the file's form.
const version = 1

type saved struct {
	Version   int            `json:"version"`
	Selectors map[string]set `json:"selectors"`
}

// readSets reads the file at path; a missing file is no sets.
func readSets(path string) (map[string]set, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sets, err := parseSets(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sets, nil
}

func parseSets(b []byte) (map[string]set, error) {
	var f saved
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	if f.Version != version {
		return nil, fmt.Errorf("version %d: this program writes version %d", f.Version, version)
	}
	for selector, s := range f.Selectors {
		for _, n := range s.Nodes {
			for _, a := range n.Addrs {
				if !usable(a) {
					return nil, fmt.Errorf("%q: Node %q has the address %q", selector, n.Name, a)
				}
			}
		}
	}
	return f.Selectors, nil
}

// writeSets replaces the file, whole or not at all, whatever happens to the
// power. No sets need no file.
func writeSets(path string, sets map[string]set) error {
	if len(sets) == 0 {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	b, err := json.Marshal(saved{version, sets})
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, b, 0o600)
}
