package http2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// decodeAll decodes a block into lines.
func decodeAll(d *decoder, block []byte) (lines []string, err error) {
	d.start(block)
	for {
		name, value, ok, err := d.next()
		if err != nil || !ok {
			return lines, err
		}
		lines = append(lines, fmt.Sprintf("%s: %s", name, value))
	}
}

// twinAll is decodeAll by the hpack package.
func twinAll(d *hpack.Decoder, block []byte) (lines []string, err error) {
	fields, err := d.DecodeFull(block)
	for _, f := range fields {
		lines = append(lines, f.Name+": "+f.Value)
	}
	return lines, err
}

// FuzzDecoder holds the decoder against the hpack package's: it accepts
// nothing else, and reads it in the same way, block after block.
func FuzzDecoder(f *testing.F) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := range 3 {
		e.WriteField(hpack.HeaderField{Name: ":method", Value: "GET"})
		e.WriteField(hpack.HeaderField{Name: "x-a", Value: strings.Repeat("v", 100*i)})
		e.WriteField(hpack.HeaderField{Name: "cookie", Value: "secret", Sensitive: true})
		f.Add(bytes.Clone(b.Bytes()), uint8(10*i))
	}
	f.Add([]byte{0x3f, 0xe1, 0x1f, 0x20, 0x82, 0x40, 1, 'a', 1, 'b', 0xbe}, uint8(5))
	f.Add([]byte("\x40\x80\x80\x7f\x00\xbe\xbf\x7e\x83\xff\xff\xff"), uint8(6))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		d := newDecoder()
		twin := hpack.NewDecoder(tableSize, nil)
		first := min(int(cut), len(b))
		for _, block := range [][]byte{b[:first], b[first:]} {
			got, err := decodeAll(&d, block)
			want, twinErr := twinAll(twin, block)
			if twinErr != nil && strings.Contains(twinErr.Error(), "size update") {
				return // it takes one a block, where the RFC allows two
			}
			if twinErr != nil && err == nil {
				t.Fatalf("%x: %q, where hpack says %v", block, got, twinErr)
			}
			if err != nil {
				return
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("%x: %q, want %q", block, got, want)
			}
			if d.table.size > d.table.max {
				t.Fatalf("%x: table holds %d of %d", block, d.table.size, d.table.max)
			}
		}
	})
}

// TestTablesTwin sends random blocks, with names and values that come again,
// and tables that change their size, from either encoder to the other decoder.
func TestTablesTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{"server", "x-frame-options", "Content-Type", "date", "set-cookie", "", "x", "cache-control"}
	var b bytes.Buffer
	theirs, twin := hpack.NewEncoder(&b), hpack.NewDecoder(tableSize, nil)
	ours, d := newEncoder(), newDecoder()
	for round := range 3000 {
		b.Reset()
		var want, wantLower []string
		if r.IntN(50) == 0 {
			size := uint32(r.IntN(tableSize + 1))
			theirs.SetMaxDynamicTableSize(size)
			ours.limit(uint32(r.IntN(tableSize + 1)))
			ours.limit(size)
		}
		block := ours.begin(nil)
		block = ours.status(block, 200+round%400)
		wantLower = append(wantLower, fmt.Sprintf(":status: %d", 200+round%400))
		for range r.IntN(20) {
			name := words[r.IntN(len(words))]
			value := strings.Repeat(words[r.IntN(len(words))], r.IntN(5)*r.IntN(40)) + fmt.Sprint(r.IntN(40))
			theirs.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: r.IntN(9) == 0})
			block = ours.field(block, []byte(name), []byte(value))
			want = append(want, name+": "+value)
			wantLower = append(wantLower, strings.ToLower(name)+": "+value)
		}
		if got, err := decodeAll(&d, b.Bytes()); err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("round %d: decoder: %q, %v; want %q", round, got, err, want)
		}
		if got, err := twinAll(twin, block); err != nil || strings.Join(got, "\n") != strings.Join(wantLower, "\n") {
			t.Fatalf("round %d: encoder: %q, %v; want %q", round, got, err, wantLower)
		}
	}
}

// TestEncoderSize shows what the table saves: a response head as the third
// one of its kind.
func TestEncoderSize(t *testing.T) {
	e := newEncoder()
	var b []byte
	for i, want := range []int{132, 132, 37} {
		b = e.status(e.begin(b[:0]), 200)
		for _, f := range [][2]string{
			{"Server", "nginx/1.22.1"}, {"Date", "Sat, 21 Nov 2026 08:00:00 GMT"}, {"Content-Type", "text/html; charset=utf-8"},
			{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "private"},
		} {
			b = e.field(b, []byte(f[0]), []byte(f[1]))
		}
		if len(b) > want {
			t.Errorf("head %d has %d bytes, want at most %d", i, len(b), want)
		}
	}
}

// TestStatic checks the tables against the hpack package's.
func TestStatic(t *testing.T) {
	for i, p := range staticTable {
		f, err := hpack.NewDecoder(0, nil).DecodeFull([]byte{0x80 | byte(i+1)})
		if err != nil || f[0].Name != p.name || f[0].Value != p.value {
			t.Errorf("entry %d is %q, want %v, %v", i+1, p, f, err)
		}
		if at, _ := staticName([]byte(p.name)); at != 0 && staticTable[at-1].name != p.name {
			t.Errorf("%s has index %d", p.name, at)
		}
	}
}
