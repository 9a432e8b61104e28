package proxy

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/http1"
)

// dateMost is how long the line is that tells when a response came.
const dateMost = len("Date: " + http.TimeFormat + "\r\n")

// A date keeps the line of the present second.
type date struct{ last atomic.Pointer[dated] }

type dated struct {
	second int64
	line   string
}

// line is the field line for a response that came at now without a Date: who
// passes it on says so (RFC 9110, section 6.6.1).
func (d *date) line(now time.Time) string {
	second := now.Unix()
	last := d.last.Load()
	if last == nil || last.second != second {
		last = &dated{second, "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		d.last.Store(last)
	}
	return last.line
}

// dated reports whether the response has a Date. head is its head.
func (x *exchange) dated(head []byte) bool {
	for i := range x.resp.Fields {
		f := &x.resp.Fields[i]
		if !f.Drop && f.Name.Len() == len("date") && http1.Fold(f.Name.Of(head), "date") {
			return true
		}
	}
	return false
}
