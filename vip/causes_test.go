package vip

import (
	"reflect"
	"testing"

	"github.com/portico-lb/portico/vip/vrrp"
)

// TestCauses: transitions are counted by what they lead to and why; what
// hindered a group is as manifold as the world, and is not.
func TestCauses(t *testing.T) {
	var c counts
	c.moved(vrrp.Active, string(vrrp.NoActive))
	c.moved(vrrp.Fault, "interface eth0: no such device")
	c.moved(vrrp.Fault, "interface eth0: link is down")
	c.moved(vrrp.Active, string(vrrp.NoActive))
	c.moved(vrrp.Active, string(vrrp.Resigned))
	want := []Cause{{vrrp.Active, "no Active heard", 2}, {vrrp.Fault, "fault", 2}, {vrrp.Active, "the Active resigned", 1}}
	if !reflect.DeepEqual(c.causes, want) {
		t.Errorf("got %v, want %v", c.causes, want)
	}
}
