package health

import (
	"testing"
	"time"
)

func TestPercentage(t *testing.T) {
	for said, want := range map[string]Answer{
		"75":                                   {Percent: 75},
		" 0%\r\nup\n":                          {},
		"100% up and so":                       {Percent: 100},
		"101":                                  {-1, `"101" is no weight: write 0 to 100 percent into the header X-Weight`},
		"-1":                                   {-1, `"-1" is no weight: write 0 to 100 percent into the header X-Weight`},
		"":                                     {-1, `"" is no weight: write 0 to 100 percent into the header X-Weight`},
		"<!doctype_html_and_whatever_follows>": {-1, `"<!doctype_html_and_w" is no weight: write 0 to 100 percent into the header X-Weight`},
	} {
		if got := percentage("header:X-Weight", said); got != want {
			t.Errorf("%q: got %+v, want %+v", said, got, want)
		}
	}
}

func FuzzPercentage(f *testing.F) {
	for _, s := range []string{"75%", " 0", "100\n", "1 %", "256", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		a := percentage(fromBody, said)
		if a.Percent < -1 || a.Percent > whole || (a.Percent == -1) != (a.Fault != "") || len(a.Fault) > 300 {
			t.Errorf("%q is %+v", said, a)
		}
		for _, of := range []int{0, 1, 7, 65535} {
			if w := (State{Percent: max(0, a.Percent)}).Weight(of); w < 0 || w > of || w == 0 && of > 0 && a.Percent > 0 {
				t.Errorf("%d percent of %d are %d", a.Percent, of, w)
			}
		}
	})
}

func TestJudgeWeight(t *testing.T) {
	var s State
	for i, step := range []struct {
		a       answer
		percent int
		reason  string
	}{
		{answer{failure: "timeout"}, 100, "timeout"},
		{answer{Answer: Answer{Percent: 40}}, 40, ""},
		{answer{failure: "timeout"}, 40, "timeout"},
		{answer{Answer: Answer{Percent: 0}}, 0, ""},
		{answer{Answer: Answer{Percent: -1, Fault: "no weight"}}, 0, "no weight"},
		{answer{Answer: Answer{Percent: 100}}, 100, ""},
	} {
		s = judge(s, Check{Rise: 1, Fall: 2}, time.Unix(int64(i), 0), step.a)
		if s.Percent != step.percent || s.Reason != step.reason {
			t.Errorf("step %d: %d percent, %q, want %d, %q", i, s.Percent, s.Reason, step.percent, step.reason)
		}
	}
}
