package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/vip"
)

// An Event is something that has changed.
type Event struct {
	At time.Time `json:"at"`
	// Level is Info, or Warn for what is worse than before.
	Level Level `json:"level"`
	// Part is vip, health, l4, l7 or config, and Object what of it: a group, a
	// check, a drain's target, a process.
	Part   string `json:"part"`
	Object string `json:"object"`
	// Text says what happened, and why.
	Text string `json:"text"`
}

// A Level is how grave an event is.
type Level string

// The levels.
const (
	Info Level = "info"
	Warn Level = "warn"
)

// most is how many events are kept.
const most = 500

// note keeps events, in the order of their times.
func (r *Recorder) note(events []Event) {
	if len(events) == 0 {
		return
	}
	all := append(slices.Clone(r.events), events...)
	slices.SortStableFunc(all, func(a, b Event) int { return a.At.Compare(b.At) })
	r.events = all[max(0, len(all)-most):]
}

// Events returns what is kept, newest first.
func (r *Recorder) Events() []Event {
	out := slices.Clone(r.events)
	slices.Reverse(out)
	if out == nil {
		return []Event{} // JSON's list
	}
	return out
}

// compare returns what has changed from a to b; a is nil at first, when what
// happened before is told as far as the parts remember it.
func compare(a *Snapshot, b Snapshot) []Event {
	if a == nil {
		a = &Snapshot{}
	}
	var out []Event
	if b.VIP != nil {
		out = append(out, transitions(a.VIP, *b.VIP)...)
	}
	if a.Health != nil && b.Health != nil {
		out = append(out, verdicts(*a.Health, *b.Health)...)
	}
	if a.L4 != nil && b.L4 != nil {
		out = append(out, kernel(*a.L4, *b.L4, b.At)...)
	}
	out = append(out, proxy(*a, b)...)
	return append(out, configs(a.Configs, b.Configs)...)
}

// transitions are exact: the groups remember theirs.
func transitions(a *vip.Status, b vip.Status) (out []Event) {
	told := map[string]uint64{}
	if a != nil {
		for _, g := range a.Groups {
			if n := len(g.History); n > 0 {
				told[g.Name] = g.History[n-1].Seq
			}
		}
	}
	for _, g := range b.Groups {
		for _, t := range g.History {
			if t.Seq <= told[g.Name] {
				continue
			}
			e := Event{At: t.At, Level: Info, Part: "vip", Object: g.Name, Text: fmt.Sprintf("%s, was %s: %s", t.To, t.From, t.Reason)}
			if t.To.String() == "Fault" {
				e.Level = Warn
			}
			out = append(out, e)
		}
	}
	return out
}

func verdicts(a, b health.Status) (out []Event) {
	before := map[string]health.State{}
	for _, c := range a.Checks {
		before[c.Name] = c.State
	}
	for _, c := range b.Checks {
		was, known := before[c.Name]
		if !known || !c.Known || was.Known && was.Up == c.Up && was.Since.Equal(c.Since) {
			continue
		}
		e := Event{At: c.Since, Level: Info, Part: "health", Object: c.Name, Text: "up"}
		if !c.Up {
			e.Level, e.Text = Warn, "down: "+c.Reason
		}
		out = append(out, e)
	}
	return out
}

// kernel tells of the dataplane, and of what operators take out of service.
func kernel(a, b l4.Status, now time.Time) (out []Event) {
	switch {
	case a.LastError == b.LastError:
	case b.LastError == "":
		out = append(out, Event{now, Info, "l4", "dataplane", "in step again"})
	default:
		out = append(out, Event{now, Warn, "l4", "dataplane", b.LastError})
	}
	var told uint64
	if n := len(a.DrainOrders); n > 0 {
		told = a.DrainOrders[n-1].Seq
	}
	for _, o := range b.DrainOrders {
		text := "given back to service"
		if o.Drained {
			text = "taken out of service"
		}
		if o.Seq > told {
			out = append(out, Event{o.At, Info, "l4", o.Target, text})
		}
	}
	return out
}

func proxy(a, b Snapshot) []Event {
	tell := func(level Level, text string) []Event { return []Event{{b.At, level, "l7", "proxy", text}} }
	switch {
	case a.Missing == "" && b.Missing != "":
		return tell(Warn, "does not answer: "+b.Missing)
	case b.L7 == nil:
		return nil
	case b.L7.Ready && (a.L7 == nil || !a.L7.Ready):
		return tell(Info, fmt.Sprintf("ready, %d routes", b.L7.Routes))
	case !b.L7.Ready && (a.L7 == nil || a.L7.Ready):
		return tell(Warn, "not ready: "+b.L7.Reason)
	}
	return nil
}

func configs(a, b map[string]Config) (out []Event) {
	for _, process := range slices.SortedFunc(maps.Keys(b), cmp.Compare[string]) {
		was, c := a[process], b[process]
		switch {
		case c.Error != "" && !c.Failed.Equal(was.Failed):
			out = append(out, Event{c.Failed, Warn, "config", process, "refused: " + c.Error})
		case !c.Loaded.Equal(was.Loaded):
			out = append(out, Event{c.Loaded, Info, "config", process, "loaded"})
		}
	}
	return out
}
