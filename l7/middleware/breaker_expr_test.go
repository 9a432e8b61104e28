package middleware

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var now = time.Unix(1_800_000_000, 0)

// TestExpressions checks the language: what holds behind 10 requests of which 3
// were answered 503, 1 of them without an endpoint.
func TestExpressions(t *testing.T) {
	for _, tc := range []struct {
		expr string
		open bool
	}{
		{"NetworkErrorRatio() == 0.1", true},
		{"NetworkErrorRatio() > 0.1", false},
		{"0.05 < NetworkErrorRatio()", true},
		{"ResponseCodeRatio(500, 600, 0, 600) EQ 0.3", true},
		{"ResponseCodeRatio(500,600,0,600) NEQ 0.3", false},
		{"ResponseCodeRatio(500, 503, 0, 600) > 0", false},
		{"ResponseCodeRatio(200, 300, 500, 600) GT 2", true},
		{"ResponseCodeRatio(200, 300, 400, 500) > 0", false},
		{"NetworkErrorRatio() GE 0.1 AND ResponseCodeRatio(500, 600, 0, 600) LE 0.3", true},
		{"NetworkErrorRatio() > 0.1 && NetworkErrorRatio() > 0 || NetworkErrorRatio() > 0", true},
		{"NetworkErrorRatio() > 0.1 && (NetworkErrorRatio() > 0 OR NetworkErrorRatio() > 0)", false},
		{"!(NetworkErrorRatio() > 0.1) and NOT NetworkErrorRatio() LT 0.1", true},
		{"not NetworkErrorRatio() > 0", false},
	} {
		t.Run(tc.expr, func(t *testing.T) {
			c, err := parseCondition(tc.expr)
			if err != nil {
				t.Fatal(err)
			}
			k := newCounter(c)
			for i := range 10 {
				o := Outcome{Status: 200, Failed: i == 0}
				if i < 3 {
					o.Status = 503
				}
				k.count(o, now)
			}
			if got := c.holds(k.last(now)); got != tc.open {
				t.Errorf("holds: %v", got)
			}
		})
	}
}

// TestExpressionErrors checks what is refused.
func TestExpressionErrors(t *testing.T) {
	for expr, want := range map[string]string{
		"":                                        "ends where NetworkErrorRatio(), ResponseCodeRatio(), LatencyAtQuantileMS() or a number is wanted",
		"NetworkErrorRatio()":                     "ends where one of > >= < <= == != is wanted",
		"NetworkErrorRatio > 1":                   `"> 1" stands where "(" is wanted`,
		"NetworkErrorRatio() > ":                  "ends where NetworkErrorRatio(), ResponseCodeRatio(), LatencyAtQuantileMS() or a number is wanted",
		"NetworkErrorRatio() > 0.5 0.6":           `"0.6" stands where the end, AND or OR is wanted`,
		"NetworkErrorRatio() = 0.5":               `"= 0.5" stands where one of > >= < <= == != is wanted`,
		"(NetworkErrorRatio() > 0.5":              `ends where ")" is wanted`,
		"NetworkErrorRatio(1) > 0.5":              "NetworkErrorRatio has 1 arguments: want 0",
		"ResponseCodeRatio(500, 600) > 0.5":       "ResponseCodeRatio has 2 arguments: want 4",
		"ResponseCodeRatio(600,500,0,600) > 1":    "ResponseCodeRatio: 600, 500 is no range of statuses: want such as 500, 600",
		"LatencyAtQuantileMS(101) > 1":            "LatencyAtQuantileMS: 101 is no quantile: want one above 0, up to 100",
		"LatencyAtQuantileMS(50 60) > 1":          `"60 ) > 1" stands where "," or ")" is wanted`,
		"Inf > NaN":                               `"Inf > NaN" stands where NetworkErrorRatio(), ResponseCodeRatio(), LatencyAtQuantileMS() or a number is wanted`,
		"((((((((((((((((((((((((((((((((((1 > 2": "more parentheses and negations within each other than anybody can read",
	} {
		got := ""
		if err := CheckExpression(expr); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", expr, got, want)
		}
	}
}

// FuzzExpression checks that what is taken can be counted by.
func FuzzExpression(f *testing.F) {
	f.Add("NetworkErrorRatio() > 0.5 || LatencyAtQuantileMS(50.0) > 100 && !(ResponseCodeRatio(500, 600, 0, 600) >= 0.25)")
	f.Add("NOT 1 NEQ 2 AND 3 LE 4")
	f.Fuzz(func(t *testing.T, expr string) {
		c, err := parseCondition(expr)
		if err != nil {
			return
		}
		k := newCounter(c)
		for _, o := range []Outcome{{Status: 200}, {Status: 502, Failed: true, Duration: time.Hour}, {Endpoint: -1}} {
			k.count(o, now)
			c.holds(k.last(now))
		}
	})
}

// TestCounter compares with one that keeps every request.
func TestCounter(t *testing.T) {
	c, err := parseCondition("ResponseCodeRatio(500, 600, 0, 600) > 0 || LatencyAtQuantileMS(50) > 0")
	if err != nil {
		t.Fatal(err)
	}
	type request struct {
		at time.Time
		o  Outcome
	}
	random := rand.New(rand.NewChaCha8([32]byte{1}))
	for range 200 {
		k := newCounter(c)
		var all []request
		at := now
		for range 100 {
			at = at.Add(time.Duration(random.ExpFloat64() * float64(time.Second)))
			if random.IntN(20) == 0 {
				at = at.Add(time.Duration(random.IntN(15)) * time.Second)
			}
			ended := at.Add(-time.Duration(random.IntN(3)) * time.Second) // not in order
			o := Outcome{Status: 200 + 100*random.IntN(4), Failed: random.IntN(2) == 0, Endpoint: time.Duration(random.IntN(1e9)), Duration: time.Second}
			all = append(all, request{ended, o})
			k.count(o, ended)
			got := k.last(at)
			var total, failed, codes uint64
			var took []time.Duration
			for _, r := range all {
				if r.at.Unix() <= at.Unix()-windowSeconds {
					continue
				}
				total++
				took = append(took, r.o.Endpoint)
				if r.o.Failed {
					failed++
					took[len(took)-1] = r.o.Duration
				}
				if r.o.Status >= 500 {
					codes++
				}
			}
			if got.total != total || got.failed != failed || got.codes[0] != codes || got.codes[1] != total {
				t.Fatalf("counted %d, %d, %v, want %d, %d, %d", got.total, got.failed, got.codes, total, failed, codes)
			}
			slices.Sort(took)
			for _, q := range []float64{1, 50, 99, 100} {
				want := float64(took[max(0, (len(took)*int(q)+99)/100-1)]) / 1e6
				if got := got.latency(q); got < want*0.93-0.1 || got > want*1.07+0.1 {
					t.Fatalf("quantile %v of %v is %v, want %v", q, took, got, want)
				}
			}
		}
	}
}

// TestLatencySlots checks that slots meet and hold what belongs to them.
func TestLatencySlots(t *testing.T) {
	for slot := range latencySlots {
		from, to := time.Duration(slotFrom(slot)<<latencyShift), time.Duration(slotFrom(slot+1)<<latencyShift)
		if latencySlot(from) != slot || latencySlot(to-1) != slot || latencyOf(slot) < from || latencyOf(slot) >= to {
			t.Fatalf("slot %d is from %v to %v, with %v in the middle", slot, from, to, latencyOf(slot))
		}
	}
	if latencySlot(-1) != 0 || latencySlot(1<<62) != latencySlots-1 {
		t.Error("what is out of range is not at the ends")
	}
}
