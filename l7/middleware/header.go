package middleware

import "strings"

// A Field is one field line; its name is in any case.
type Field struct{ Name, Value string }

// A Header is field lines in their order.
type Header []Field

// Get returns the first value of a name, "" without one.
func (h Header) Get(name string) string {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Has reports whether a line has the name.
func (h Header) Has(name string) bool {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			return true
		}
	}
	return false
}

// Values returns all values of a name.
func (h Header) Values(name string) []string {
	var out []string
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			out = append(out, h[i].Value)
		}
	}
	return out
}

// Add appends a line.
func (h *Header) Add(name, value string) { *h = append(*h, Field{name, value}) }

// Set makes value the only one of the name.
func (h *Header) Set(name, value string) {
	h.Del(name)
	h.Add(name, value)
}

// Del removes all lines of the name.
func (h *Header) Del(name string) {
	kept := (*h)[:0]
	for _, f := range *h {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	clear((*h)[len(kept):])
	*h = kept
}

// Reserved reports whether a field is the engine's, which no middleware sees or
// sets: those of the connection and of a body's framing (RFC 9110, sections 7.6.1
// and 8.6; RFC 9112), the one that has chosen the route, and Proxy, which CGI
// takes for a variable of its own.
func Reserved(name string) bool {
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "te")
	case 4:
		return strings.EqualFold(name, "host")
	case 5:
		return strings.EqualFold(name, "proxy")
	case 6:
		return strings.EqualFold(name, "expect")
	case 7:
		return strings.EqualFold(name, "upgrade") || strings.EqualFold(name, "trailer")
	case 10:
		return strings.EqualFold(name, "connection") || strings.EqualFold(name, "keep-alive")
	case 14:
		return strings.EqualFold(name, "content-length") || strings.EqualFold(name, "http2-settings")
	case 16:
		return strings.EqualFold(name, "proxy-connection")
	case 17:
		return strings.EqualFold(name, "transfer-encoding")
	}
	return false
}
