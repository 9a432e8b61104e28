package l4_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/l4test"
)

func (n *node) wantTimeouts(t *testing.T, when string, want l4.Timeouts) {
	t.Helper()
	have, err := n.kernel.Read()
	if err != nil {
		t.Fatal(err)
	}
	if have.Timeouts != want {
		t.Errorf("%s: timeouts are %s, want %s", when, have.Timeouts, want)
	}
}

// Timeouts that the configuration sets no more are what they were before it
// set them first, whenever it ends, and then belong to whoever sets them.
func TestTimeoutsEnd(t *testing.T) {
	found := l4.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: 10 * time.Second}
	configure := func(n *node, tcp, udp time.Duration, services ...l4.Service) {
		n.Set(l4.Config{Services: services, Timeouts: l4.Timeouts{TCP: tcp, UDP: udp}})
	}
	web := service("rr", vip4, "10.0.0.1")
	for name, end := range map[string]func(*node){
		"reloaded":  func(n *node) { configure(n, 0, 0, web) },
		"restarted": func(n *node) { n.restart(); configure(n, 0, 0, web) },
		"emptied":   func(n *node) { configure(n, 0, 0) },
		"emptied before": func(n *node) {
			configure(n, 8*time.Second, 0)
			n.sync(t)
			configure(n, 0, 0)
		},
		"one by one": func(n *node) {
			configure(n, 2*time.Hour, 0, web)
			n.sync(t)
			n.wantTimeouts(t, "one is left", l4.Timeouts{TCP: 2 * time.Hour, TCPFin: time.Minute, UDP: 10 * time.Second})
			configure(n, 0, 0, web)
		},
		"after a refusal": func(n *node) {
			configure(n, 0, 0, web)
			n.kernel.Refuse(func(l4.Op) error { return errors.New("not now") })
			if err := n.Sync(t.Context()); err == nil {
				t.Error("not refused")
			}
			n.kernel.Refuse(nil)
		},
		"flushed": func(n *node) {
			if err := l4.Flush(n.kernel, n.file); err != nil {
				t.Error(err)
			}
			n.restart()
		},
	} {
		n := newNode(t)
		n.meddle(t, l4.Op{Kind: l4.SetTimeouts, Timeouts: found})
		configure(n, 2*time.Hour, time.Minute, web)
		n.sync(t)
		configure(n, 3*time.Hour, time.Minute, web)
		n.sync(t)
		n.wantTimeouts(t, "set", l4.Timeouts{TCP: 3 * time.Hour, TCPFin: time.Minute, UDP: time.Minute})
		end(n)
		n.sync(t)
		n.wantTimeouts(t, name, found)
		if text, err := os.ReadFile(n.file); err != nil || strings.Contains(string(text), "timeouts") {
			t.Errorf("%s: the record is %q (%v)", name, text, err)
		}
		n.meddle(t, l4.Op{Kind: l4.SetTimeouts, Timeouts: l4test.DefaultTimeouts})
		n.sync(t)
		n.wantTimeouts(t, name+", set by another tool", l4test.DefaultTimeouts)
	}
}
