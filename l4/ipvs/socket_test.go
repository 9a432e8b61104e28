package ipvs

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// controller is a connection to the family that lists the others, which every
// kernel has (include/uapi/linux/genetlink.h).
func controller(t *testing.T) *conn {
	t.Helper()
	s, err := openSocket()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return &conn{s, unix.GENL_ID_CTRL}
}

func TestDump(t *testing.T) {
	c := controller(t)
	for range 3 {
		ds, err := c.dump(command{number: unix.CTRL_CMD_GETFAMILY})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, d := range ds {
			for d.Next() {
				if d.Type() == unix.CTRL_ATTR_FAMILY_NAME {
					names = append(names, d.String())
				}
			}
		}
		if !slices.Contains(names, "nlctrl") || len(names) != len(ds) {
			t.Errorf("%d answers: %q", len(ds), names)
		}
	}
}

// Each of several commands has its own answer, also after a dump that failed.
func TestAnswersInOrder(t *testing.T) {
	c := controller(t)
	if _, err := c.dump(command{number: 99}); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("an unknown dump: %v", err)
	}
	nameless := func(*netlink.AttributeEncoder) {}
	answers, err := c.do(command{99, nil}, command{unix.CTRL_CMD_GETFAMILY, nameless}, command{99, nil})
	if want := []error{unix.EOPNOTSUPP, unix.EINVAL, unix.EOPNOTSUPP}; err != nil || !slices.Equal(answers, want) {
		t.Errorf("%v (%v), want %v", answers, err, want)
	}
}

// What is no message ends the exchange.
func TestBrokenMessages(t *testing.T) {
	for name, b := range map[string][]byte{
		"less than a header":    make([]byte, 8),
		"longer than it is":     {40, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"shorter than a header": {4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"no error in it":        {16, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		s := socket{rest: b}
		if _, err := s.receive(); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(stale(err), errStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
