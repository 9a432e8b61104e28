package route

import (
	"encoding/json"
	"fmt"
)

// MarshalText writes what String returns.
func (m Match) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads that.
func (m *Match) UnmarshalText(text []byte) error {
	for known := Prefix; known <= Regexp; known++ {
		if known.String() == string(text) {
			*m = known
			return nil
		}
	}
	return fmt.Errorf("%q is no match", text)
}

// Steps are steps in their order. As JSON each is an object of one field, its
// kind.
type Steps []Step

// MarshalJSON writes s.
func (s Steps) MarshalJSON() ([]byte, error) {
	out := make([]map[string]any, len(s))
	for i, step := range s {
		if t, ok := step.(Told); ok {
			out[i] = map[string]any{t.Name: t.Settings}
			continue
		}
		out[i] = map[string]any{step.Kind(): step}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads s, as Told.
func (s *Steps) UnmarshalJSON(b []byte) error {
	var in []map[string]json.RawMessage
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*s = make(Steps, 0, len(in))
	for _, step := range in {
		for kind, settings := range step {
			*s = append(*s, Told{kind, settings})
		}
	}
	return nil
}

// Told is a step as another process has told of it: to look at, not to take.
type Told struct {
	Name     string
	Settings json.RawMessage
}

// Kind is its name.
func (t Told) Kind() string { return t.Name }
