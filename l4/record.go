package l4

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A record is the set of services this node has programmed, kept in a file so
// that one that leaves the configuration while the daemon is down is still
// known for ours when it starts again. It belongs under /run: the kernel's
// tables do not outlive a boot either.
type record map[Key]bool

// readRecord reads the file at path, one key a line; a missing file is an
// empty record.
func readRecord(path string) (record, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return nil, err
	}
	rec := record{}
	for line := range bytes.Lines(text) {
		k, err := ParseKey(string(bytes.TrimSpace(line)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		rec[k] = true
	}
	return rec, nil
}

// write puts the record in place of the file at path.
func (r record) write(path string) error {
	var b bytes.Buffer
	for _, k := range slices.SortedFunc(maps.Keys(r), Key.Compare) {
		fmt.Fprintln(&b, k)
	}
	// Beside and renamed: a crash leaves the old file or the new one.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Flush deletes every service that was programmed by a reconciler with this
// state file, and no other. It is for a node that leaves service; a
// reconciler must not run beside it.
func Flush(dp Dataplane, stateFile string) error {
	rec, err := readRecord(stateFile)
	if err != nil || len(rec) == 0 {
		return err
	}
	have, err := dp.Read()
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	ours := func(k Key) bool { return rec[k] }
	for _, op := range Diff(have, State{}, ours) {
		if err := dp.Apply(op); err != nil {
			return fmt.Errorf("apply %s: %w", op, err)
		}
	}
	return record{}.write(stateFile)
}
