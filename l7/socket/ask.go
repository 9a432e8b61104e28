package socket

import "syscall"

// Ask writes all of p and then all of q if the connection is as Quiet wants it, and
// else nothing. Then it waits until there is something to read: to look for it before,
// as Read does, is in vain where the peer speaks when it is spoken to. The next Read
// says how the wait has ended.
//
// The look is in the same call of the poller as the wait, for each one begins by
// forgetting what has come: a peer that ended its stream in between may go on to read
// for long and never make itself heard.
func (c *Conn) Ask(p, q []byte) (n int, quiet bool, err error) {
	if err := c.poller(); err != nil {
		return 0, true, err
	}
	a := &c.asking
	if a.step == nil {
		a.step = func(fd uintptr) bool { return a.take(fd, &c.writes) }
	}
	a.asked, a.noisy = false, false
	t := &c.writes
	t.begin(p)
	t.more = q
	err = c.raw.Read(a.step)
	switch {
	case a.noisy:
		t.buf, t.more = nil, nil
		return 0, false, nil
	case a.asked && t.errno == syscall.EAGAIN:
		err = c.raw.Write(t.step)
	case a.asked:
		err = nil // of the wait
	}
	err = c.end("write", t, err)
	return t.n, true, err
}

// An asking is the state of Ask.
type asking struct {
	asked, noisy bool
	step         func(fd uintptr) (done bool)
}

// take looks and writes; when it is called again, the wait is over.
func (a *asking) take(fd uintptr, t *transfer) (done bool) {
	if a.asked {
		return true
	}
	if _, errno := peek(fd); errno != syscall.EAGAIN {
		a.noisy = true
		return true
	}
	a.asked = true
	return !t.give(fd) || t.errno != 0
}
