package kube

import (
	"bytes"
	"io"
	"slices"
)

// share is how many bytes of a file one goroutine reads at a time: enough that to
// hand them over costs next to nothing.
const share = 64 << 10

// shares reads YAML in texts of whole documents, as many as have room in a share,
// at least one. The whole of a large file is never in memory.
type shares struct {
	r    io.Reader
	free chan []byte // those to be used again
	buf  []byte      // what was read and not returned
	size int         // of what was read
	end  bool
	err  error
}

// next returns the next text, which is the caller's until it calls done; an empty
// one at the end, or at an error.
func (s *shares) next() []byte {
	for !s.end {
		if len(s.buf) == cap(s.buf) {
			if cut := lastDocument(s.buf); cut > 0 {
				text := s.buf[:cut]
				s.buf = append(s.another(), s.buf[cut:]...)
				return text
			}
			s.buf = slices.Grow(s.buf, max(share, len(s.buf)))
		}
		n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		s.size += n
		s.end = err != nil
		if s.end && err != io.EOF {
			s.buf, s.err = nil, err
		}
	}
	text := s.buf
	s.buf = nil
	return text
}

// another returns room for a share.
func (s *shares) another() []byte {
	select {
	case b := <-s.free:
		return b
	default:
		return make([]byte, 0, share)
	}
}

// done says that nobody needs text any more. Any goroutine may call it.
func (s *shares) done(text []byte) {
	select {
	case s.free <- text[:0]:
	default: // there is enough
	}
}

// lastDocument returns where the last document begins of which the beginning is
// in text for certain, 0 where there is but one.
func lastDocument(text []byte) int {
	for end := len(text); ; {
		i := bytes.LastIndex(text[:end], []byte("\n---"))
		if i < 0 {
			return 0
		}
		if next := i + len("\n---"); next < len(text) && isBlank(text[next]) {
			return i + 1
		}
		end = i + len("\n--")
	}
}
