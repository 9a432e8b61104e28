package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// margin stands before everything that is not a headline.
const margin = "   "

// A screen is what the audience sees. It uses escape codes for a terminal only.
type screen struct {
	w        io.Writer
	color    bool
	sections int
	apart    bool // the last line was empty
}

// Codes of ECMA-48, 8.3.117.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (s *screen) paint(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// section begins a numbered section.
func (s *screen) section(title string) {
	s.sections++
	s.gap()
	s.line(s.paint(bold, fmt.Sprintf("%d. %s", s.sections, title)))
}

// say explains what is being shown.
func (s *screen) say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		s.line(margin + line)
	}
}

// command shows a command as it would be typed, and what it wrote.
func (s *screen) command(line, output string) {
	s.gap()
	s.line(margin + s.paint(cyan, "$ "+line))
	for line := range strings.Lines(strings.Trim(output, "\n")) {
		s.line(margin + s.paint(faint, strings.TrimRight(line, " \n")))
	}
}

// good says what was expected, and found.
func (s *screen) good(format string, args ...any) {
	s.line(margin + s.paint(green, "ok") + " " + fmt.Sprintf(format, args...))
}

// table shows rows of cells in columns.
func (s *screen) table(rows ...[]string) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
	s.gap()
	s.say("%s", b.String())
	s.gap()
}

// gap sets apart what follows, by one empty line and no more.
func (s *screen) gap() {
	if !s.apart {
		s.line("")
	}
}

func (s *screen) line(text string) {
	text = strings.TrimRight(text, " \n")
	fmt.Fprintln(s.w, text)
	s.apart = text == ""
}
