package socket

import (
	"errors"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// SpliceMost is how much Splice moves at a time. Users without privileges may
// have 64 MiB of pipes in all (pipe(7)); those above get small ones.
const SpliceMost = 256 << 10

// Splice moves most bytes from src to dst without copying them through our
// memory, as one read and one write. It returns how many arrived; fewer than
// most and no error say that src has ended. An error of src is a net.OpError
// "read", one of dst "write".
func Splice(dst, src *Conn, most int64) (moved int64, err error) {
	p, err := takePipe()
	if err != nil {
		return 0, err
	}
	for moved < most {
		in, out := &src.reads, &dst.writes
		in.beginPipe(p, int(min(most-moved, SpliceMost)))
		if err := src.end("read", in, src.read(in.step)); err != nil || in.n == 0 {
			p.give()
			return moved, err
		}
		out.beginPipe(p, in.n)
		err := dst.end("write", out, dst.write(out.step))
		moved += int64(out.n)
		if err != nil {
			p.close() // it holds what did not arrive
			return moved, err
		}
	}
	p.give()
	return moved, nil
}

// A pipe is a buffer in the kernel.
type pipe struct {
	ends    [2]int // read, write
	cleanup runtime.Cleanup
}

// pipes are empty ones.
var pipes sync.Pool

func takePipe() (*pipe, error) {
	if p, ok := pipes.Get().(*pipe); ok {
		return p, nil
	}
	p := new(pipe)
	if err := unix.Pipe2(p.ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, errors.Join(errors.New("splice"), err)
	}
	// A small one does, too.
	_, _ = unix.FcntlInt(uintptr(p.ends[0]), unix.F_SETPIPE_SZ, SpliceMost)
	p.cleanup = runtime.AddCleanup(p, closeEnds, p.ends)
	return p, nil
}

func (p *pipe) give() { pipes.Put(p) }

func (p *pipe) close() {
	p.cleanup.Stop()
	closeEnds(p.ends)
}

func closeEnds(ends [2]int) {
	unix.Close(ends[0])
	unix.Close(ends[1])
}

func (p *pipe) fill(fd uintptr, most int) (int, syscall.Errno) {
	return splice(fd, uintptr(p.ends[1]), most)
}

func (p *pipe) drain(fd uintptr, most int) (int, syscall.Errno) {
	return splice(uintptr(p.ends[0]), fd, most)
}

func splice(from, to uintptr, most int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE, from, 0, to, 0, uintptr(most), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
