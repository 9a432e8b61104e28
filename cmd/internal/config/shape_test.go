package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

type testFile struct {
	Node struct {
		Name string `toml:"name"`
		MTU  int    `toml:"mtu"`
	} `toml:"node"`
	VIP []struct {
		Name      string   `toml:"name"`
		Addresses []string `toml:"addresses"`
		VRRP      *struct {
			Priority *int `toml:"priority"`
			Track    []struct {
				Interface string `toml:"interface"`
				Weight    int    `toml:"weight"`
			} `toml:"track"`
		} `toml:"vrrp"`
	} `toml:"vip"`
	Labels map[string]string `toml:"labels"`
}

func TestInspect(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"valid", "[node]\nname = 'a'\nmtu = 9000\n[[vip]]\naddresses = ['x']\n[vip.vrrp]\npriority = 3\n[labels]\nany = 'b'", ""},
		{"unknown key, near", "[node]\nnmae = 'a'", "2:1 node.nmae: unknown key, did you mean name? allowed are mtu, name"},
		{"unknown key, far", "[node]\ncolour = 1", "2:1 node.colour: unknown key: allowed are mtu, name"},
		{"unknown table, reported once", "[nodes]\na = 1\nb = 2", "1:2 nodes: unknown key, did you mean node? allowed are labels, node, vip"},
		{"wrong scalar", "[node]\nmtu = '9000'", "2:7 node.mtu: is a string, want an integer"},
		{"every fault is listed", "[node]\nmtu = true\nx = 1", "2:7 node.mtu: is a boolean, want an integer\n3:1 node.x: unknown key: allowed are mtu, name"},
		{"second table of an array", "[[vip]]\n[[vip]]\n[vip.vrrp]\npriority = 'x'", "4:12 vip[1].vrrp.priority: is a string, want an integer"},
		{"element of a list", "[[vip]]\naddresses = [\n 'a',\n 7 ]", "4:2 vip[0].addresses[1]: is an integer, want a string"},
		{"list instead of scalar", "[node]\nname = ['a']", "2:1 node.name: is a list, want a string"},
		{"inline table", "[[vip]]\nvrrp = { track = [ { interface = 'e', wieght = 2 } ] }", "2:39 vip[0].vrrp.track[0].wieght: unknown key, did you mean weight? allowed are interface, weight"},
		{"table where a list of tables is wanted", "[vip]\nname = 'a'", "1:2 vip: is a table, want a list of tables: write [[vip]]"},
		{"list of tables where a table is wanted", "[[node]]\nname = 'a'", "1:3 node: is a list of tables, want a table: write [node]"},
		{"dotted key through a scalar", "[node]\nname.x = 1", "2:6 node.name: is a table, want a string"},
		{"number beyond 64 bits", "[node]\nmtu = 99999999999999999999\nx = 1", "2:7 node.mtu: 99999999999999999999 is out of range: no key takes a number that large\n3:1 node.x: unknown key: allowed are mtu, name"},
		{"numbers as TOML writes them", "[node]\nmtu = 0x7fff_ffff", ""},
		{"not TOML", "[node\nname = 1", "1:6 : expected ']' to close table name"},
		{"twice", "[node]\nname = 'a'\nname = 'b'", "3:1 : key name is already defined"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := inspect([]byte(c.in), reflect.TypeFor[testFile]())
			if len(s.faults) == 0 {
				s.decode([]byte(c.in), new(testFile))
			}
			if got := render(s.faults); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestSoundKeepsPlaces(t *testing.T) {
	in := "[node]\nmtu = [\n'x']\nname = 'kept'\n"
	s := inspect([]byte(in), reflect.TypeFor[testFile]())
	out := s.sound([]byte(in))
	var f testFile
	if err := toml.Unmarshal(out, &f); err != nil {
		t.Fatal(err)
	}
	if f.Node.Name != "kept" || strings.Count(string(out), "\n") != strings.Count(in, "\n") || len(out) != len(in) {
		t.Errorf("%q became %q", in, out)
	}
}

// TestSoundKeepsNeighbours: a key that nobody knows must not hide the faults of
// those beside it in an inline table.
func TestSoundKeepsNeighbours(t *testing.T) {
	in := "[[vip]]\nvrrp = { priority = 300, colour = 1 }\n"
	s := inspect([]byte(in), reflect.TypeFor[testFile]())
	var f testFile
	if err := toml.Unmarshal(s.sound([]byte(in)), &f); err != nil {
		t.Fatal(err)
	}
	if f.VIP[0].VRRP == nil || *f.VIP[0].VRRP.Priority != 300 {
		t.Error("the known key is gone")
	}
}

func render(faults Faults) string {
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = fmt.Sprintf("%d:%d %s: %s", f.Line, f.Column, f.Key, f.Problem)
	}
	return strings.Join(lines, "\n")
}

// FuzzInspect: whatever the bytes are, inspection ends, and a file without
// faults decodes.
func FuzzInspect(f *testing.F) {
	f.Add([]byte("[node]\nname = 'a'\n[[vip]]\nvrrp = { priority = 1 }\n"))
	f.Add([]byte("[[vip]]\n[[vip]]\n[vip.vrrp]\ntrack = [ {}, { weight = -1 } ]\n[labels]\na.b = 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := inspect(b, reflect.TypeFor[testFile]())
		for _, fault := range s.faults {
			if fault.Problem == "" {
				t.Errorf("%q: a fault without words", b)
			}
		}
	})
}

// Places come from a table of our own, since the parser counts lines anew for
// each; they are the same.
func TestPlacesAreTheParsers(t *testing.T) {
	const text = "a = 1\n\n[b]\r\n  c = { d = 2, e = [3] }\n[[f]]\n\ng = \"\"\"\n\n\"\"\"\nh = 1"
	s := inspect([]byte(text), reflect.TypeFor[map[string]any]())
	var p unstable.Parser
	p.Reset([]byte(text))
	seen := 0
	for p.NextExpression() {
		for it := p.Expression().Key(); it.Next(); seen++ {
			n := it.Node()
			start := p.Shape(n.Raw).Start
			if got, want := s.placeOf(n), (place{start.Line, start.Column}); got != want {
				t.Errorf("%s is at %v, want %v", n.Data, got, want)
			}
		}
	}
	if seen != 6 {
		t.Errorf("%d keys", seen)
	}
}
