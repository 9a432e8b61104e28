package track

import (
	"fmt"
	"strings"
	"time"
)

// A Kind is what a Watch looks at.
type Kind string

// The kinds of Watch.
const (
	// Interface holds while the interface is up and has a carrier.
	Interface Kind = "interface"
	// File holds a number; a missing file holds 0.
	File Kind = "file"
	// Command holds while the program exits with 0.
	Command Kind = "command"
	// L7 holds while the proxy on this node answers GET /ready with 200.
	L7 Kind = "l7"
)

// A Watch is one thing to look at. It is comparable and its own identity:
// equal Watches are looked at once.
type Watch struct {
	Kind Kind
	// Subject is the interface's name, the file's path, or the command's
	// arguments with a NUL between them; empty for L7.
	Subject string
	// User is whom a command runs as; "" is whom we run as.
	User string
	// Interval is from the start of one attempt to the start of the next; 0
	// for an interface, whose changes the kernel tells.
	Interval time.Duration
	// Timeout bounds an attempt of a command or of L7.
	Timeout time.Duration
	// Fall is how many failures in a row end what holds, Rise how many passes
	// in a row restore it; for commands and L7.
	Fall, Rise int
	// Hold is how long an interface must have stayed up to count as up again.
	Hold time.Duration
}

// about reports whether both look at the same, be it in another rhythm.
func (w Watch) about(o Watch) bool {
	return w.Kind == o.Kind && w.Subject == o.Subject && w.User == o.User
}

// Args is the command.
func (w Watch) Args() []string { return strings.Split(w.Subject, "\x00") }

// String names the watch as the configuration does: "interface eth1".
func (w Watch) String() string {
	if w.Subject == "" {
		return string(w.Kind)
	}
	return fmt.Sprintf("%s %s", w.Kind, strings.ReplaceAll(w.Subject, "\x00", " "))
}

// A Rule says what a Watch means to a group. It is comparable.
type Rule struct {
	Watch
	// Weight is added to the priority: a negative one while the watch fails, a
	// positive one while it holds; a file's number is multiplied by it. From
	// -253 to 253. 0 means none is configured, and failing is a fault: the
	// group must not be served here. A file fails while its number is not 0.
	Weight int
}
