package l4

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// readLines returns the text of the file at path; one that is missing, or has
// no name, is empty.
func readLines(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// eachLine hands over the lines of a text. It goes on after one that is
// refused, which costs what it said and nothing else, and returns the first
// reason.
func eachLine(text []byte, take func(line string) error) error {
	bad, first := 0, error(nil)
	for line := range strings.Lines(string(text)) {
		if err := take(strings.TrimSpace(line)); err != nil {
			if bad++; bad == 1 {
				first = err
			}
		}
	}
	if bad > 1 {
		return fmt.Errorf("%d lines cannot be read, the first: %w", bad, first)
	}
	return first
}
