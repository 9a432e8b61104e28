package backend

import (
	"testing"

	"github.com/portico-lb/portico/l7/route"
)

// TestCopiesAreBounded shows that those beyond the bound are counted.
func TestCopiesAreBounded(t *testing.T) {
	p := New(route.Backend{}, Options{Now: func() int64 { return 0 }, Policy: new(Policy)})
	if p.Status().Copies != nil {
		t.Error("a backend that is no mirror has a status of one")
	}
	begun := 0
	for range 1000 {
		if p.BeginCopy() {
			begun++
		}
	}
	c := *p.Status().Copies
	if c.InFlight != int64(begun) || c.Dropped != uint64(1000-begun) || begun == 0 || begun == 1000 {
		t.Errorf("%d begun, %+v", begun, c)
	}
	if p.EndCopy(CopyAnswered); !p.BeginCopy() {
		t.Error("no room after one has ended")
	}
}
