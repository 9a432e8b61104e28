package l4test_test

import (
	"testing"

	"github.com/portico-lb/portico/l4/l4test"
)

func TestFake(t *testing.T) {
	fake := l4test.NewFake()
	l4test.Suite(t, l4test.Subject{
		Dataplane: fake,
		Print:     func(*testing.T) string { return fake.String() },
	})
}
