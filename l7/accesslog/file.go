package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A file is the one that lines go to now. The process before or after this one
// may write to it as well, and rotate it: both append whole lines.
type file struct {
	path   string
	rotate Rotate

	f       *os.File // nil while it cannot be opened
	info    fs.FileInfo
	size    int64
	born    time.Time
	rotated time.Time
	// torn says that a line was not written to its end, and stands there.
	torn bool
	// fault is why the latest line was not written, stuck why the file grows
	// beyond its bounds.
	fault, stuck error
	// later is before when a rotation is not tried again that came to nothing.
	later time.Time
}

// fileMode lets those read who may read the configuration.
const fileMode = 0o640

// ensure opens the file where it is not open, or no longer the one at its path.
func (f *file) ensure() {
	if f.f != nil && f.regular() {
		if at, err := os.Stat(f.path); err != nil || !os.SameFile(at, f.info) {
			f.close()
		} else {
			f.size = at.Size()
		}
	}
	if f.f == nil {
		f.fault = f.open()
	}
}

func (f *file) open() error {
	// Not blocking: a FIFO without a reader is an error, not a wait.
	o, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, fileMode)
	if err != nil {
		return fmt.Errorf("%w: its folder must exist and belong to the proxy's user", err)
	}
	info, err := o.Stat()
	if err != nil {
		o.Close()
		return err
	}
	f.f, f.info, f.size, f.torn = o, info, info.Size(), false
	if !f.regular() {
		return nil
	}
	f.born = birth(f.path)
	if f.size == 0 {
		if err := o.Chmod(fileMode); err != nil { // whatever the umask says
			return fmt.Errorf("chmod %s: %w", f.path, err)
		}
	}
	return nil
}

// regular is false for pipes and terminals, which are not rotated.
func (f *file) regular() bool { return f.info.Mode().IsRegular() }

// birth is when the file was made; a file system that does not know it makes
// all files new.
func birth(path string) time.Time {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BTIME, &s)
	if err != nil || s.Mask&unix.STATX_BTIME == 0 {
		return time.Now()
	}
	return time.Unix(s.Btime.Sec, int64(s.Btime.Nsec))
}

func (f *file) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// pipeWrite is how long the reader of a pipe may take for a chunk.
const pipeWrite = time.Second

// write writes a chunk of whole lines, and returns how many bytes of it are
// written as such.
func (f *file) write(chunk []byte) int {
	if f.f == nil {
		return 0
	}
	if !f.regular() {
		_ = f.f.SetWriteDeadline(time.Now().Add(pipeWrite)) // what has none does not wait
	}
	var n int
	if f.torn {
		n, f.fault = f.f.Write(newline)
		f.size += int64(n)
		if f.fault != nil {
			return 0
		}
	}
	n, f.fault = f.f.Write(chunk)
	f.size += int64(n)
	whole := bytes.LastIndexByte(chunk[:n], '\n') + 1
	f.torn = whole < n && !f.cut(n-whole)
	return whole
}

// cut takes the last n bytes back, unless they are not the last any more.
func (f *file) cut(n int) bool {
	info, err := f.f.Stat()
	if err != nil || !f.regular() || info.Size() != f.size || f.f.Truncate(f.size-int64(n)) != nil {
		return false
	}
	f.size -= int64(n)
	return true
}

// full reports whether n bytes more belong to another file.
func (f *file) full(n int, now time.Time) bool {
	if !f.regular() || f.size == 0 || now.Before(f.later) {
		return false
	}
	r := f.rotate
	return r.Size > 0 && f.size+int64(n) > r.Size || r.Age > 0 && now.Sub(f.born) >= r.Age
}

// rotateRetry is after how long a rotation is tried again that came to nothing.
const rotateRetry = time.Minute

// rotateAway gives the file the name of an old one and opens another in its
// place. Of several who write to it, one does so: the lock is that of the file,
// whatever it is called. Where it comes to nothing the file just grows.
func (f *file) rotateAway(now time.Time) {
	if err := unix.Flock(int(f.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.later = now.Add(openRetry) // the other one does it
		return
	}
	f.stuck = f.moveAway(now)
	if f.stuck != nil {
		f.later = now.Add(rotateRetry)
		f.stuck = errors.Join(f.stuck, unix.Flock(int(f.f.Fd()), unix.LOCK_UN))
		return
	}
	f.close()
	f.rotated = now
	f.fault = f.open()
}

// moveAway takes the file from its path, unless somebody else has done so.
func (f *file) moveAway(now time.Time) error {
	at, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !os.SameFile(at, f.info):
		return nil
	case f.rotate.Keep == 0:
		return os.Remove(f.path)
	}
	return os.Rename(f.path, oldName(f.path, now))
}

// stampFormat is what the name of an old file has behind that of the log, in
// UTC: names sort by age.
const stampFormat = "20060102T150405.000Z"

// oldName returns a name that is not taken.
func oldName(path string, now time.Time) string {
	for {
		name := path + "." + now.UTC().Format(stampFormat)
		if !taken(name) {
			return name
		}
		now = now.Add(time.Millisecond)
	}
}

// taken reports whether an old file has the name, compressed or not.
func taken(name string) bool {
	for _, suffix := range []string{"", ".gz", ".zst"} {
		if _, err := os.Lstat(name + suffix); err == nil {
			return true
		}
	}
	return false
}
