package notify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// An Event is one transition of a group.
type Event struct {
	Node, Group string
	Addresses   []netip.Prefix
	// From and To are names of VRRP states: Initialize, Backup, Active, Fault.
	From, To string
	// Reason says what made the group change.
	Reason   string
	Priority int
	At       time.Time
	// Seq grows by one from each transition of the group to the next, for as
	// long as the group lives in this process.
	Seq uint64
}

// version counts the incompatible changes of the JSON form.
const version = 1

// id is the same in every attempt to send the event and on every target, so
// that a receiver can tell a repetition.
func (e Event) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d", e.Node, e.Group, e.At.UnixNano(), e.Seq))
	return hex.EncodeToString(sum[:16])
}

// json is the body of a webhook and the standard input of a command. Its keys
// are stable: new ones may come, old ones neither go nor change their meaning
// without a new version.
func (e Event) json() ([]byte, error) {
	return json.Marshal(struct {
		Version   int            `json:"version"`
		ID        string         `json:"id"`
		Node      string         `json:"node"`
		Group     string         `json:"group"`
		State     string         `json:"state"`
		Previous  string         `json:"previous"`
		Reason    string         `json:"reason"`
		Priority  int            `json:"priority"`
		Addresses []netip.Prefix `json:"addresses"`
		Time      time.Time      `json:"time"`
		Sequence  uint64         `json:"sequence"`
	}{version, e.id(), e.Node, e.Group, e.To, e.From, e.Reason, e.Priority, append([]netip.Prefix{}, e.Addresses...), e.At.UTC(), e.Seq})
}

// environment is the event as variables of a command.
func (e Event) environment() []string {
	vars := []string{
		"PORTICO_ID=" + e.id(),
		"PORTICO_NODE=" + e.Node,
		"PORTICO_GROUP=" + e.Group,
		"PORTICO_STATE=" + e.To,
		"PORTICO_PREVIOUS=" + e.From,
		"PORTICO_REASON=" + e.Reason,
		"PORTICO_PRIORITY=" + strconv.Itoa(e.Priority),
		"PORTICO_ADDRESSES=" + e.addresses(),
		"PORTICO_TIME=" + e.At.UTC().Format(time.RFC3339Nano),
		"PORTICO_SEQUENCE=" + strconv.FormatUint(e.Seq, 10),
	}
	for i := range vars {
		vars[i] = printable(vars[i]) // a NUL would keep the command from starting
	}
	return vars
}

// keepalivedArgs are the arguments that keepalived hands to the program of
// its keyword notify: the kind and name of the instance, its new state in the
// words of RFC 5798, and the priority (keepalived.conf(5)).
func (e Event) keepalivedArgs() []string {
	state := "STOP"
	switch e.To {
	case "Active":
		state = "MASTER"
	case "Backup":
		state = "BACKUP"
	case "Fault":
		state = "FAULT"
	}
	return []string{"INSTANCE", printable(e.Group), state, strconv.Itoa(e.Priority)}
}

func (e Event) subject() string {
	return printable(fmt.Sprintf("portico: %s is %s on %s", e.Group, e.To, e.Node))
}

func (e Event) text() string {
	var b strings.Builder
	for _, line := range [][2]string{
		{"Group", e.Group}, {"Node", e.Node}, {"State", e.To}, {"Before", e.From}, {"Reason", e.Reason},
		{"Priority", strconv.Itoa(e.Priority)}, {"Addresses", e.addresses()}, {"Time", e.At.UTC().Format(time.RFC3339Nano)},
	} {
		fmt.Fprintf(&b, "%-10s %s\n", line[0]+":", printable(line[1]))
	}
	return b.String()
}

func (e Event) addresses() string {
	var as []string
	for _, p := range e.Addresses {
		as = append(as, p.String())
	}
	return strings.Join(as, " ")
}

// printable makes control characters spaces: a line stays a line, a header a
// header.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// A cursor knows, by group, the latest transition that has been seen.
type cursor map[string]mark

type mark struct {
	seq uint64
	at  time.Time
}

// news returns the events that were not seen before, the oldest first, and
// how many of each group had left its history unseen. A group that was built
// anew counts from one again, but its transitions are later than any seen.
func (c cursor) news(recent []Event) (fresh []Event, missed map[string]uint64) {
	missed = map[string]uint64{}
	for _, e := range recent {
		seen, known := c[e.Group]
		if known && e.Seq <= seen.seq && !e.At.After(seen.at) {
			continue
		}
		if known && e.Seq > seen.seq+1 {
			missed[e.Group] += e.Seq - seen.seq - 1
		}
		c[e.Group] = mark{e.Seq, e.At}
		fresh = append(fresh, e)
	}
	slices.SortStableFunc(fresh, func(a, b Event) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Group, b.Group))
	})
	return fresh, missed
}
