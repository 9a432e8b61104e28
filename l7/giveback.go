package l7

import (
	"bufio"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// hasten has garbage collected less often until relax is called, or for a
// while: most of what a start reads goes into what stays, and to look through
// it again and again is a fifth of the CPU time of one with 10,000 routes.
// Still less often would save little, and leave holes among what stays that cannot
// be given back: at 400 % they are 5 MB more. Who sets GOGC is obeyed.
func hasten() (relax func()) {
	const usual, meanwhile, most = 100, 200, 10 * time.Second
	if before := debug.SetGCPercent(meanwhile); before != usual {
		debug.SetGCPercent(before)
		return func() {}
	}
	relax = sync.OnceFunc(func() { debug.SetGCPercent(usual) })
	time.AfterFunc(most, relax)
	return relax
}

// giveBack returns to the kernel what the start alone needed: heap, of which the
// first reading takes several times what stays, and the pages of the program
// itself, most of which are never looked at again. Those that are come back from
// the page cache.
func giveBack() {
	debug.FreeOSMemory()
	forgetProgram()
}

// forgetProgram gives back the pages of the program alone. Those that reading
// objects takes are more than half of all: they need not stand beside the heap
// where that is at its largest, when routes are made of the objects.
func forgetProgram() {
	_ = unmapProgram() // it costs memory, no more
}

// unmapProgram has the kernel forget which pages of this program's file are
// mapped (madvise(2), MADV_DONTNEED). Only those parts that nobody can write to,
// and of which no page was changed before it could not be any more, as a linker
// does with addresses (RELRO): such a page is not in the file.
func unmapProgram() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	var from, to uint64 // of the part that is being read; 0 where it is none to forget
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if first, last, ok := strings.Cut(words[0], "-"); ok { // FROM-TO MAY ... FILE
			from = 0
			if words[len(words)-1] == exe && (words[1] == "r--p" || words[1] == "r-xp") {
				from, _ = strconv.ParseUint(first, 16, 64)
				to, _ = strconv.ParseUint(last, 16, 64)
			}
			continue
		}
		if words[0] == "Anonymous:" && words[1] == "0" && from != 0 {
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED); errno != 0 {
				return errno
			}
		}
	}
	return lines.Err()
}
