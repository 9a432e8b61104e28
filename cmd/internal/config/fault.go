package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Fault is one thing wrong with the file, at its place.
type Fault struct {
	// Path is the file as the operator named it.
	Path string `json:"path"`
	// Line and Column count from 1; 0 means the file as a whole.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Key is the full path from the root, such as vip[0].vrrp.router_id; ""
	// where the file is not TOML at all.
	Key string `json:"key"`
	// Problem says what was found and what is allowed.
	Problem string `json:"problem"`
}

// String returns path:line:column: key: problem, the form that editors jump to.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.Path)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Problem)
	return b.String()
}

// Faults is every fault of a file, in the order of the file.
type Faults []Fault

// Error returns a line per fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// sorted orders by place, then key, so that output does not depend on the
// order in which packages validate.
func (fs Faults) sorted() Faults {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		return strings.Compare(a.Key, b.Key)
	})
	return fs
}
