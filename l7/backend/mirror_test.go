package backend

import (
	"math"
	"testing"

	"github.com/portico-lb/portico/l7/route"
)

// TestCopyDue shows that the share of copies is that of the policy, over few
// requests as over many.
func TestCopyDue(t *testing.T) {
	for _, percent := range []float64{0, 0.1, 1, 10, 33, 50, 99, 100} {
		p := New(route.Backend{}, Options{Now: func() int64 { return 0 }, Policy: new(Policy)})
		policy := Default()
		policy.Mirror.Percent = percent
		p.SetPolicy(new(policy))
		copies := 0
		for i := 1; i <= 10_000; i++ {
			if p.CopyDue() {
				copies++
			}
			if want := float64(i) * percent / 100; math.Abs(float64(copies)-want) > 3 {
				t.Fatalf("%v %%: %d of %d", percent, copies, i)
			}
		}
		if whole := percent == 0 && copies != 0 || percent == 100 && copies != 10_000; whole {
			t.Errorf("%v %%: %d", percent, copies)
		}
	}
}

// TestCopiesAreBounded shows that those beyond the bound are counted.
func TestCopiesAreBounded(t *testing.T) {
	p := New(route.Backend{}, Options{Now: func() int64 { return 0 }, Policy: new(Policy)})
	policy := Default()
	if p.SetPolicy(new(policy)); p.Status().Mirror != nil {
		t.Error("a mirror that is not there has a status")
	}
	policy.Mirror.Percent = 1
	p.SetPolicy(new(policy))
	begun := 0
	for range 1000 {
		if p.BeginCopy() {
			begun++
		}
	}
	m := *p.Status().Mirror
	if m.InFlight != int64(begun) || m.Dropped != uint64(1000-begun) || begun == 0 || begun == 1000 {
		t.Errorf("%d begun, %+v", begun, m)
	}
	if p.EndCopy(CopyAnswered); !p.BeginCopy() {
		t.Error("no room after one has ended")
	}
}
