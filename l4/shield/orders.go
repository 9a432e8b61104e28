package shield

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/renameio/v2"

	"github.com/portico-lb/portico/l4"
)

// maxReason is how long a reason may be, in bytes.
const maxReason = 200

// orders are what operators have denied, by network.
type orders map[netip.Prefix]order

type order struct {
	since time.Time
	// until is when it ends; zero: when it is taken back.
	until  time.Time
	reason string
}

// over reports whether the order has ended.
func (o order) over(now time.Time) bool { return !o.until.IsZero() && !o.until.After(now) }

// next returns when the next order ends, zero where none does.
func (o orders) next() (first time.Time) {
	for _, each := range o {
		if !each.until.IsZero() && (first.IsZero() || each.until.Before(first)) {
			first = each.until
		}
	}
	return first
}

// standing returns the orders that have not ended.
func (o orders) standing(now time.Time) orders {
	left := maps.Clone(o)
	maps.DeleteFunc(left, func(_ netip.Prefix, each order) bool { return each.over(now) })
	return left
}

// soundReason reports whether a reason can stand in a line.
func soundReason(s string) error {
	if len(s) > maxReason || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("the reason must be one line of at most %d printable bytes", maxReason)
	}
	return nil
}

// readOrders reads the file at path; a missing file is no orders. What can be
// read counts, whatever else is in the file.
func readOrders(path string) (orders, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	o, faults := parseOrders(text)
	if faults != nil {
		faults = fmt.Errorf("%s: %w", path, faults)
	}
	return o, errors.Join(err, faults)
}

// never stands for the end of an order without one.
const never = "-"

// parseOrders reads a file's text, "SINCE UNTIL NETWORK REASON" a line.
func parseOrders(text []byte) (orders, error) {
	all := orders{}
	var errs []error
	for line := range strings.Lines(string(text)) {
		n, o, err := parseOrder(strings.TrimSuffix(line, "\n"))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all[n] = o
	}
	return all, errors.Join(errs...)
}

func parseOrder(line string) (n netip.Prefix, o order, err error) {
	since, rest, _ := strings.Cut(line, " ")
	until, rest, _ := strings.Cut(rest, " ")
	network, reason, _ := strings.Cut(rest, " ")
	o.reason = reason
	if o.since, err = parseTime(since); err != nil {
		return n, o, err
	}
	if until != never {
		if o.until, err = parseTime(until); err != nil {
			return n, o, err
		}
	}
	if n, err = l4.ParseNetwork(network); err != nil {
		return n, o, err
	}
	return n, o, soundReason(reason)
}

// parseTime reads a time of RFC 3339 that is one of ours: not the zero time,
// and of a year that can be written again in each zone.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err == nil && (t.Year() < 1970 || t.Year() > 9000) {
		err = fmt.Errorf("%s is not of these times", s)
	}
	return t, err
}

func (o orders) text() []byte {
	var b bytes.Buffer
	for _, n := range slices.SortedFunc(maps.Keys(o), netip.Prefix.Compare) {
		until := never
		if !o[n].until.IsZero() {
			until = o[n].until.UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintln(&b, strings.TrimRight(strings.Join([]string{o[n].since.UTC().Format(time.RFC3339Nano), until, n.String(), o[n].reason}, " "), " "))
	}
	return b.Bytes()
}

func (o orders) write(path string) error { return renameio.WriteFile(path, o.text(), 0o600) }
