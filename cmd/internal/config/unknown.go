package config

import (
	"fmt"
	"strings"
)

// unknown says that name is no key here, which one was probably meant, and
// which are allowed.
func unknown(name string, allowed []string) string {
	if near := nearest(name, allowed); near != "" {
		return fmt.Sprintf("unknown key, did you mean %s? allowed are %s", near, strings.Join(allowed, ", "))
	}
	return "unknown key: allowed are " + strings.Join(allowed, ", ")
}

// nearest returns the allowed name at most a third of whose letters differ,
// the closest first, or "".
func nearest(name string, allowed []string) string {
	best, bound := "", len(name)/3+1
	for _, a := range allowed {
		if d := distance(name, a); d <= bound && d < max(len(a), 1) {
			best, bound = a, d-1
		}
	}
	return best
}

// distance is the Levenshtein distance of two short ASCII names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
