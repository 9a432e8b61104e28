package nodes

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l4"
)

// node is ready and has these internal addresses; each change makes it another.
func node(name, addrs string, changes ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"edgenode": "true"}}}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeExternalIP, Address: "203.0.113.9"}}
	for a := range strings.FieldsSeq(addrs) {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	ready(corev1.ConditionTrue, "")(n)
	for _, change := range changes {
		change(n)
	}
	return n
}

func ready(s corev1.ConditionStatus, message string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{
			{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse},
			{Type: corev1.NodeReady, Status: s, Reason: "NodeStatusUnknown", Message: message},
		}
	}
}

func cordoned(n *corev1.Node) { n.Spec.Unschedulable = true }

func TestChoose(t *testing.T) {
	now := metav1.Now()
	chosen, out := choose([]*corev1.Node{
		node("edge-2", "10.0.0.2 10.0.0.22 2001:db8::2"),
		node("edge-1", "::ffff:10.0.0.1"),
		node("a", "10.0.0.11", cordoned),
		node("b", "10.0.0.12", ready(corev1.ConditionFalse, "container runtime is down")),
		node("c", "10.0.0.13", ready(corev1.ConditionUnknown, "")),
		node("d", "10.0.0.14", func(n *corev1.Node) { n.Status.Conditions = nil }),
		node("e", "10.0.0.15", func(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" }),
		node("f", "10.0.0.16", func(n *corev1.Node) { n.DeletionTimestamp = &now }),
		node("g", "127.0.0.1 fe80::1 x"),
	})
	want := []l4.Node{
		{Name: "edge-1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}},
		{Name: "edge-2", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::2")}},
	}
	if diff := cmp.Diff(want, chosen, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]LeftOut{
		{"a", "is cordoned"},
		{"b", "is not ready: container runtime is down"},
		{"c", "is not ready: NodeStatusUnknown"},
		{"d", "is not ready: its kubelet has not said so yet"},
		{"e", "has the label node.kubernetes.io/exclude-from-external-load-balancers"},
		{"f", "is being deleted"},
		{"g", "has no address of type InternalIP"},
	}, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNext: a set never goes from some to none.
func TestNext(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	one, two := node("edge-1", "10.0.0.1"), node("edge-2", "10.0.0.2")
	var s set
	for i, step := range []struct {
		name    string
		nodes   []*corev1.Node
		want    string
		held    bool
		changed int
	}{
		{"none to begin with", nil, "", false, -1},
		{"two", []*corev1.Node{two, one}, "edge-1 edge-2", false, 1},
		{"the same", []*corev1.Node{one, two}, "edge-1 edge-2", false, 1},
		{"one cordoned", []*corev1.Node{one, node("edge-2", "10.0.0.2", cordoned)}, "edge-1", false, 3},
		{"both", []*corev1.Node{one, two}, "edge-1 edge-2", false, 4},
		{"neither ready", []*corev1.Node{node("edge-1", "10.0.0.1", ready("Unknown", "")), node("edge-2", "10.0.0.2", ready("Unknown", ""))}, "edge-1 edge-2", true, 4},
		{"all gone", nil, "edge-1 edge-2", true, 4},
		{"one back", []*corev1.Node{two}, "edge-2", false, 7},
		{"another address", []*corev1.Node{node("edge-2", "10.0.0.9")}, "edge-2", false, 8},
	} {
		s, _ = s.next(step.nodes, at(i))
		if got := strings.Join(names(s.Nodes), " "); got != step.want || s.held != step.held || !s.Read.Equal(at(i)) {
			t.Errorf("%s: %q, held %v, read %v", step.name, got, s.held, s.Read)
		}
		if step.changed >= 0 && !s.Changed.Equal(at(step.changed)) {
			t.Errorf("%s: changed %v, want minute %d", step.name, s.Changed, step.changed)
		}
	}
}

func TestSetsOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "director", "nodes.json")
	if sets, err := readSets(path); err != nil || len(sets) != 0 {
		t.Fatalf("without a file: %v, %v", sets, err)
	}
	s, changed := set{}.next([]*corev1.Node{node("edge-1", "10.0.0.1 2001:db8::1"), node("b", "", cordoned)}, time.Now().UTC())
	if !changed {
		t.Error("a first Node is no change")
	}
	want := map[string]set{"edgenode=true": s}
	if err := writeSets(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := readSets(path)
	if err != nil {
		t.Fatal(err)
	}
	s.out = nil // of this moment only
	want["edgenode=true"] = s
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(set{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := writeSets(path, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("nothing to follow, and the file stays: %v", err)
	}
}

func FuzzParseSets(f *testing.F) {
	f.Add([]byte(`{"version":1,"selectors":{"edgenode=true":{"nodes":[{"name":"edge-1","addresses":["10.0.0.1","2001:db8::1"]}],"changed":"2026-01-01T00:00:00Z","read":"2026-01-01T00:00:00Z"}}}`))
	f.Add([]byte(`{"version":1,"selectors":{"a":{"nodes":null}}}`))
	f.Add([]byte(`{"version":1,"selectors":{"a":{"nodes":[{"name":"x","addresses":["","fe80::1%eth0"]}]}}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		sets, err := parseSets(b)
		if err != nil {
			return
		}
		for _, s := range sets {
			for _, n := range s.Nodes {
				for _, a := range n.Addrs {
					if !a.IsValid() || a.IsLoopback() || a.IsMulticast() || a.Zone() != "" {
						t.Errorf("%q made a server of %v", b, a)
					}
				}
			}
		}
	})
}
