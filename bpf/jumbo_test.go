package bpf_test

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/bpf"
)

// TestJumbo sends frames that do not fit into one buffer of a driver, to the
// program loaded for such.
func TestJumbo(t *testing.T) {
	w := load(t, func(spec *ebpf.CollectionSpec) {
		spec.Programs[bpf.L4ProgPorticoL4].Flags |= unix.BPF_F_XDP_HAS_FRAGS
	}).plain()
	frame := v4(protoUDP, udp(40000, 443, make([]byte, 8900)...))
	if out, verdict := w.run(frame); verdict != "send" || !bytes.Equal(out, sentTo(macOf(2), director, frame)) {
		t.Errorf("%s, %d bytes of %d", verdict, len(out), len(frame))
	}
	if _, verdict := w.run(frame[:len(frame)-1]); verdict != "pass_malformed" {
		t.Errorf("a byte less: %s", verdict)
	}
}
