package package_test

import (
	"strings"
	"testing"
)

// exposure is what `systemd-analyze security` may say of each service, in tenths.
const exposure = "20"

// security holds the two services, as they are shipped, at what they have reached.
func security(t *testing.T) {
	for _, unit := range []string{"portico.service", "portico-l7.service"} {
		out, err := try(t.Context(), "systemd-analyze", "security", "--no-pager", "--threshold="+exposure, unit)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		t.Log(lines[len(lines)-1])
		if err != nil {
			t.Errorf("%v", err)
		}
	}
}
