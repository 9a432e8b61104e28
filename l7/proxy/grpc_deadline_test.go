package proxy

import (
	"testing"
	"time"
)

// TestGRPCTimeout reads what PROTOCOL-HTTP2.md allows, and nothing else.
func TestGRPCTimeout(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "30S": 30 * time.Second, "100m": 100 * time.Millisecond,
		"5u": 5 * time.Microsecond, "99999999n": 99999999, "99999999H": 1<<63 - 1, "0S": 0,
	} {
		if got, ok := grpcTimeout(s); !ok || got != want {
			t.Errorf("%s: %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "S", "1", "1s", "-1S", "+1S", "1.5S", "100000000S", " 1S", "1 S"} {
		if got, ok := grpcTimeout(s); ok {
			t.Errorf("%q is read as %v", s, got)
		}
	}
}
