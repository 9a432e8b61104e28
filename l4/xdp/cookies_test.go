package xdp

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/test/lab"
)

// wantCookies wants cookies above a rate, 0 for none, and waits until they stand so.
func (d *director) wantCookies(t *testing.T, above int, fault string) {
	t.Helper()
	d.Set(Config{
		XDP: l4.XDP{Choice: l4.ByXDP, Fence: time.Minute, Flows: 1 << 10}, Services: true,
		Of:     map[netip.Addr]string{key80.Addr.Addr(): "eth0"},
		Shield: l4.Shield{SYNCookies: above}, Ports: []netip.AddrPort{key80.Addr},
	})
	lab.Eventually(t, 30*time.Second, "cookies", func() error {
		d.follow(t)
		st := d.Plane.Status().Cookies
		switch {
		case above == 0 && st == nil && len(d.admissions(t)) == 0:
			return nil
		case above == 0 || st == nil || st.Above != above || !strings.HasPrefix(st.Fault, fault) || (st.Fault == "") != (fault == ""):
			return fmt.Errorf("%+v; links %v", st, d.admissions(t))
		}
		return nil
	})
}

// sends tells whether somebody answers.
func (d *director) sends(t *testing.T) bool {
	t.Helper()
	yes, err := d.life.open.sends()
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

// admissions are the links by which connections are taken.
func (d *director) admissions(t *testing.T) (ids []link.ID) {
	t.Helper()
	pins, err := filepath.Glob(d.pins.path("*", admitPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pin := range pins {
		l, err := link.LoadPinnedLink(pin, nil)
		if err != nil {
			t.Fatal(err)
		}
		info, err := l.Info()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.ID)
		l.Close()
	}
	return ids
}

func TestCookies(t *testing.T) {
	d := newDirector(t)
	d.Sysctl("net.ipv4.conf.eth0.forwarding", "0")
	d.wantCookies(t, 100, "none for ipv4 by eth0, whose routes the kernel does not tell: sysctl net.ipv4.conf.eth0.forwarding=1")
	d.Sysctl("net.ipv4.conf.eth0.forwarding", "1")
	d.wantCookies(t, 100, "")
	before := d.admissions(t)
	if len(before) != 1 || !d.sends(t) {
		t.Fatalf("links %v, sends %v", before, d.sends(t))
	}

	t.Run("another process goes on by the same link", func(t *testing.T) {
		d.restart()
		d.wantCookies(t, 200, "")
		if now := d.admissions(t); len(now) != 1 || now[0] != before[0] || !d.sends(t) {
			t.Errorf("links %v were %v, sends %v", now, before, d.sends(t))
		}
	})
	t.Run("a kernel that takes no cookies", func(t *testing.T) {
		d.Sysctl("net.ipv4.tcp_syncookies", "0")
		d.wantCookies(t, 200, "net.ipv4.tcp_syncookies is 0, and no cookie is taken: sysctl net.ipv4.tcp_syncookies=1")
		if d.sends(t) {
			t.Error("cookies are sent")
		}
		if n := strings.Count(d.log.String(), "no SYN cookies"); n != 2 {
			t.Errorf("said %d times:\n%s", n, d.log)
		}
		d.Sysctl("net.ipv4.tcp_syncookies", "1")
		d.wantCookies(t, 200, "")
		if !d.sends(t) {
			t.Error("no cookies are sent")
		}
	})
	t.Run("XDP goes and comes again", func(t *testing.T) {
		d.configure(l4.ByIPVS, 1<<10)
		d.Do(func() {
			if err := d.Follow(state(t, oneService)); err != nil {
				t.Error(err)
			}
		})
		if links := d.admissions(t); len(links) > 0 {
			t.Errorf("links %v", links)
		}
		d.wantCookies(t, 200, "")
	})
	t.Run("off", func(t *testing.T) {
		d.wantCookies(t, 0, "")
		if d.sends(t) {
			t.Error("cookies are sent")
		}
	})
	t.Run("a process that does not want what the one before has begun", func(t *testing.T) {
		d.wantCookies(t, 100, "")
		d.restart()
		d.wantCookies(t, 0, "")
		if d.sends(t) {
			t.Error("cookies are sent")
		}
	})
}
