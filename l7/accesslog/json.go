package accesslog

import (
	"time"
	"unicode/utf8"
)

// appendQuoted appends s as a JSON string. Bytes that are no UTF-8 become the
// replacement character, as encoding/json has it.
func appendQuoted[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		size := 1
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			var next [utf8.UTFMax]byte
			r, n := utf8.DecodeRune(next[:copy(next[:], s[i:])])
			dst, size = utf8.AppendRune(dst, r), n
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends s with what could end a quoted piece of a line, or the
// line, as \xHH.
func appendEscaped[T ~string | ~[]byte](dst []byte, s T) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7F {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// A stamp writes times of one location. What is the same for a whole second is
// written once.
type stamp struct {
	in           *time.Location
	second       int64
	before, zone []byte
}

// appendTime appends t in RFC 3339, to the microsecond.
func (s *stamp) appendTime(dst []byte, t time.Time) []byte {
	if second := t.Unix(); second != s.second || s.before == nil {
		t := t.In(s.in)
		s.second = second
		s.before = t.AppendFormat(s.before[:0], "2006-01-02T15:04:05.")
		s.zone = t.AppendFormat(s.zone[:0], "Z07:00")
	}
	dst = append(dst, s.before...)
	micros := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+micros/unit%10))
	}
	return append(dst, s.zone...)
}
