package l4

import (
	"maps"
	"strings"
	"testing"
	"time"
)

const goodRecord = `sysctl sloppy_tcp 0
timeouts 15m0s 0s 5m0s
tcp 192.0.2.10:80
udp [2001:db8::10]:53
drain 30s udp [2001:db8::10]:53
fwmark6 7
owner 2001:db8::10 fwmark6 7
leaving 1763000000 10.0.0.1:80 tcp 192.0.2.10:80
sync master eth0 51 224.0.0.81 8848 1 0
`

const goodDrains = `2026-01-01T00:00:00Z edge-2
2026-01-01T00:00:05Z web/10.0.0.1:80
`

// damages are what a crash, a full disk or a person may make of a file.
var damages = []string{"", "\x00", "\n\n", "sysctl", "sysctl x\n", "leaving 1 2 3\n", "sync backup\n", "tcp nowhere\n", "leaving 1 [fe80::1%a b]:80 tcp 192.0.2.10:80\n", "drain -1 udp [2001:db8::10]:53\n", "owner x fwmark6 7\n", "timeouts 1s 2s\n"}

// Whatever else is in the state file, what can be read of it counts, is
// written as it was read, and nothing else is.
func FuzzRecord(f *testing.F) {
	for _, d := range damages {
		f.Add(d)
		f.Add(d + goodRecord)
	}
	good, err := parseRecord([]byte(goodRecord))
	if err != nil || len(good.keys) != 3 || len(good.found)+len(good.leaving)+len(good.daemons) != 3 || good.timeouts.UDP != 5*time.Minute {
		f.Fatalf("%+v, %v", good, err)
	}
	f.Fuzz(func(t *testing.T, damage string) {
		rec, _ := parseRecord([]byte(damage))
		again, err := parseRecord(rec.text())
		if err != nil || !again.equal(rec) {
			t.Errorf("%+v became %+v, %v", rec, again, err)
		}
		if _, ok := rec.keys[Key{}]; ok {
			t.Errorf("%q is a service", damage)
		}
		both, _ := parseRecord([]byte(damage + "\n" + goodRecord))
		for k := range good.keys {
			if _, ok := both.keys[k]; !ok {
				t.Errorf("%q costs %s", damage, k)
			}
		}
		for k, at := range good.leaving {
			if !both.leaving[k].Equal(at) {
				t.Errorf("%q costs %v", damage, k)
			}
		}
		if !maps.Equal(both.daemons, good.daemons) && len(rec.daemons) == 0 || both.found["sloppy_tcp"] != 0 || both.timeouts != good.timeouts {
			t.Errorf("%q costs %+v: %+v", damage, good, both)
		}
	})
}

func FuzzDrains(f *testing.F) {
	for _, d := range damages {
		f.Add(d)
		f.Add(d + goodDrains)
	}
	f.Fuzz(func(t *testing.T, damage string) {
		drains, _ := parseDrains([]byte(damage))
		for _, at := range drains {
			if y := at.UTC().Year(); y < 1 || y > 9998 {
				return // some of these cannot be written in UTC
			}
		}
		again, err := parseDrains(drains.text())
		if err != nil || !maps.EqualFunc(again, drains, time.Time.Equal) {
			t.Errorf("%v became %v, %v", drains, again, err)
		}
		both, _ := parseDrains([]byte(damage + "\n" + goodDrains))
		if both["edge-2"].IsZero() || both["web/10.0.0.1:80"].IsZero() {
			t.Errorf("%q costs a drain: %v", damage, both)
		}
	})
}

func TestDamagedFilesAreTold(t *testing.T) {
	rec, err := parseRecord([]byte("tcp nowhere\nsysctl x y\n" + goodRecord))
	if len(rec.keys) != 3 || err == nil || !strings.HasPrefix(err.Error(), "2 lines cannot be read, the first: ") {
		t.Errorf("%+v, %v", rec, err)
	}
	if _, err := parseDrains([]byte("2026-01-01T00:00:00Z \n")); err == nil {
		t.Error("a drain of nobody")
	}
}
