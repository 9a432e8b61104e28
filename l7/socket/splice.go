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
// memory. It returns how many arrived; fewer than most and no error say that src
// has ended. An error of src is a net.OpError "read", one of dst "write".
//
// Where turn is not nil it is called whenever Splice may begin to wait: for src to
// send, or for dst to take. An error of it ends Splice.
func Splice(dst, src *Conn, most int64, turn func(taking bool) error) (moved int64, err error) {
	if turn == nil {
		turn = func(bool) error { return nil }
	}
	p, err := takePipe()
	if err != nil {
		return 0, err
	}
	for moved < most {
		n, err := p.fillFrom(src, int(min(most-moved, SpliceMost)), turn)
		if err != nil || n == 0 {
			p.give()
			return moved, err
		}
		n, err = p.drainTo(dst, n, turn)
		moved += int64(n)
		if err != nil {
			p.close() // it holds what did not arrive
			return moved, err
		}
	}
	p.give()
	return moved, nil
}

// fillFrom reads what src sends, most bytes of it.
func (p *pipe) fillFrom(src *Conn, most int, turn func(taking bool) error) (int, error) {
	if err := turn(false); err != nil {
		return 0, err
	}
	in := &src.reads
	in.beginPipe(p, most)
	err := src.end("read", in, src.read(in.step))
	return in.n, err
}

// drainTo writes the n bytes that are in p.
func (p *pipe) drainTo(dst *Conn, n int, turn func(taking bool) error) (written int, err error) {
	for written < n {
		if err := turn(true); err != nil {
			return written, err
		}
		out := &dst.writes
		out.beginPipe(p, n-written)
		err = dst.end("write", out, dst.write(out.step))
		written += out.n
		if err != nil {
			return written, err
		}
	}
	return written, nil
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
