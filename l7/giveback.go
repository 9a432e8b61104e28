package l7

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// giveBack returns to the kernel what the start alone needed: heap, of which the
// first reading takes several times what stays, and the pages of the program
// itself, most of which are never looked at again. Those that are come back from
// the page cache.
func giveBack() {
	debug.FreeOSMemory()
	_ = forgetProgram() // it costs memory, no more
}

// forgetProgram has the kernel forget which pages of this program's file are
// mapped. They are read only, so that nothing is lost (madvise(2),
// MADV_DONTNEED).
func forgetProgram() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Bytes()
		if !bytes.HasSuffix(line, []byte(" "+exe)) {
			continue
		}
		var from, to uintptr
		var may string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &may); err != nil {
			return err
		}
		if may[1] == 'w' {
			continue // variables
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return errno
		}
	}
	return lines.Err()
}
