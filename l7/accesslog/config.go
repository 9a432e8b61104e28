package accesslog

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7/value"
)

// A Section is [l7.access_log] as the operator writes it.
type Section struct {
	File          string         `toml:"file"`
	Format        string         `toml:"format"`
	StatusCodes   []string       `toml:"status_codes"`
	MinDuration   string         `toml:"min_duration"`
	RetryAttempts bool           `toml:"retry_attempts"`
	Buffer        string         `toml:"buffer"`
	Fields        FieldsSection  `toml:"fields"`
	Headers       HeadersSection `toml:"headers"`
	Query         QuerySection   `toml:"query"`
	Rotate        RotateSection  `toml:"rotate"`
}

// A FieldsSection says which fields a line has.
type FieldsSection struct {
	Default string   `toml:"default"`
	Keep    []string `toml:"keep"`
	Drop    []string `toml:"drop"`
}

// A HeadersSection says which header fields a line has.
type HeadersSection struct {
	Default string   `toml:"default"`
	Keep    []string `toml:"keep"`
	Drop    []string `toml:"drop"`
	Redact  []string `toml:"redact"`
}

// A RotateSection says when a file is full and what becomes of it.
type RotateSection struct {
	Size        string `toml:"size"`
	Age         string `toml:"age"`
	Keep        *int   `toml:"keep"`
	Compress    *bool  `toml:"compress"`
	Compression string `toml:"compression"`
}

// A Config is a valid Section.
type Config struct {
	// File is where the lines go; "" is no log.
	File string
	// Common has lines in the common log format instead of JSON.
	Common bool
	Filter Filter
	// Drop names the fields that lines do not have.
	Drop []string
	// Headers is what becomes of a header field by its name in lower case,
	// OtherHeaders what becomes of all others.
	Headers      map[string]Mode
	OtherHeaders Mode
	Queries      Queries
	// Buffer is how many bytes may wait for the disk; lines beyond are lost.
	Buffer int
	Rotate Rotate
}

// A Filter says which requests get a line: those that match one of its parts,
// or all where it has none.
type Filter struct {
	Status []StatusRange
	// MinDuration is how long a request takes at least; 0 is no part.
	MinDuration time.Duration
	// Retried is for requests that took more than one attempt.
	Retried bool
}

// A StatusRange is the status codes from First to Last.
type StatusRange struct{ First, Last int }

// A Mode is what becomes of a header field.
type Mode uint8

// The modes.
const (
	Drop   Mode = iota // it is not written
	Keep               // it is
	Redact             // its name is, its value is not
)

// A Rotate says when a file makes room for another one, 0 for never.
type Rotate struct {
	Size int64
	Age  time.Duration
	// Keep is how many old files stay.
	Keep int
	// Suffix tells how they are compressed: ".gz", ".zst", "" for not at all.
	Suffix string
}

// Parse checks s; p tells faults of the table. A nil section is no log.
func (s *Section) Parse(p value.Parser) Config {
	if s == nil {
		return Config{}
	}
	c := Config{File: s.File, Common: p.Choice(s.Format, "format", []string{"json", "common"}) == 1}
	switch {
	case s.File == "":
		p.Bad("file", `missing: an access log needs one, such as "/var/log/portico/access.log"`)
	case !filepath.IsAbs(s.File):
		p.Bad("file", fmt.Sprintf(`%q is no absolute path: want one such as "/var/log/portico/access.log"`, s.File))
	}
	c.Filter = s.filter(p)
	c.Drop = s.Fields.parse(p.In("fields"))
	c.Headers, c.OtherHeaders = s.Headers.parse(p.In("headers"))
	c.Queries = s.Query.parse(p.In("query"))
	c.Buffer = int(p.Size(s.Buffer, "buffer", 4<<20, 64<<10, 1<<30))
	c.Rotate = s.Rotate.parse(p.In("rotate"))
	return c
}

func (s *Section) filter(p value.Parser) Filter {
	f := Filter{
		MinDuration: p.Span(s.MinDuration, "min_duration", 0, 0, time.Hour),
		Retried:     s.RetryAttempts,
	}
	for i, text := range s.StatusCodes {
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.Atoi(strings.TrimSpace(first))
		b, err2 := strconv.Atoi(strings.TrimSpace(last))
		if err1 != nil || err2 != nil || a < 100 || b > 599 || a > b {
			p.Bad(fmt.Sprintf("status_codes[%d]", i), fmt.Sprintf(`%q is no range of status codes: want one such as "500-599" or "404"`, text))
			continue
		}
		f.Status = append(f.Status, StatusRange{a, b})
	}
	return f
}

// Keeps reports whether r gets a line.
func (f *Filter) Keeps(r *Record) bool {
	if len(f.Status) == 0 && f.MinDuration == 0 && !f.Retried {
		return true
	}
	status := r.status()
	for _, s := range f.Status {
		if s.First <= status && status <= s.Last {
			return true
		}
	}
	return f.MinDuration > 0 && r.Duration >= f.MinDuration || f.Retried && r.Retries > 0
}

// parse returns the names of the fields to drop.
func (s FieldsSection) parse(p value.Parser) []string {
	all := Names()
	known := func(list []string, key string) {
		for i, name := range list {
			if !slices.Contains(all, name) {
				p.Bad(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is no field: allowed are %s", name, strings.Join(all, ", ")))
			}
		}
	}
	known(s.Keep, "keep")
	known(s.Drop, "drop")
	var drop []string
	others := p.Choice(s.Default, "default", []string{"keep", "drop"}) == 1
	for _, name := range all {
		if slices.Contains(s.Drop, name) || others && !slices.Contains(s.Keep, name) {
			drop = append(drop, name)
		}
	}
	return drop
}

func (s HeadersSection) parse(p value.Parser) (map[string]Mode, Mode) {
	modes, given := map[string]Mode{}, map[string]Mode{}
	others := Mode(max(0, p.Choice(s.Default, "default", []string{"drop", "keep", "redact"})))
	if s.Default == "" && s.Keep == nil {
		modes["user-agent"], modes["referer"] = Keep, Keep
	}
	for _, l := range []struct {
		key   string
		names []string
		mode  Mode
	}{{"keep", s.Keep, Keep}, {"drop", s.Drop, Drop}, {"redact", s.Redact, Redact}} {
		for i, name := range l.names {
			if !value.Token(name) {
				p.Bad(fmt.Sprintf("%s[%d]", l.key, i), fmt.Sprintf(`%q is no name of a header field: want one such as "User-Agent"`, name))
			}
			name = strings.ToLower(name)
			if mode, ok := given[name]; ok && mode != l.mode {
				p.Bad(fmt.Sprintf("%s[%d]", l.key, i), fmt.Sprintf("%q stands in another of these lists: leave it in one", name))
			}
			modes[name], given[name] = l.mode, l.mode
		}
	}
	return modes, others
}

// leastFile is the smallest size of a log, in bytes, that is worth a file.
const leastFile = 4 << 10

func (s RotateSection) parse(p value.Parser) Rotate {
	r := Rotate{
		Size: p.Size(s.Size, "size", 100e6, 0, 1<<40),
		Age:  p.Span(s.Age, "age", 0, 0, 366*24*time.Hour),
		Keep: value.Number(p, s.Keep, "keep", 7, 0, 10_000),
	}
	if r.Size > 0 && r.Size < leastFile {
		p.Bad("size", fmt.Sprintf("%q would fill the folder with files: want 4KiB or more, or 0 for any length", s.Size))
	}
	if s.Compress == nil || *s.Compress {
		r.Suffix = []string{".gz", ".zst"}[max(0, p.Choice(s.Compression, "compression", []string{"gzip", "zstd"}))]
	} else if s.Compression != "" {
		p.Bad("compression", "stands beside compress = false")
	}
	return r
}
