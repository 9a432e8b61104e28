package http1

import "bytes"

// maxOptions bounds the connection options, each of which is compared with
// each field.
const maxOptions = 32

// connectionOptions reads all Connection fields (RFC 9110, section 7.6.1):
// what they say of the connection, and which other fields are for this
// connection alone. A sender can so remove its own fields, but never those
// that say where the message goes, how long it is, or who sent it.
func (h *Head) connectionOptions(b []byte) error {
	count := 0
	for i := range h.Fields {
		if h.Fields[i].Kind != Connection {
			continue
		}
		list := h.Fields[i].Value.Of(b)
		for len(list) > 0 {
			var option []byte
			option, list = nextElement(list)
			if len(option) == 0 {
				continue // empty elements are ignored (section 5.6.1.2)
			}
			if count++; count > maxOptions || !isTokenString(option) {
				return ErrOptions
			}
			h.option(b, option)
		}
	}
	return nil
}

func (h *Head) option(b, option []byte) {
	switch {
	case Fold(option, "close"):
		h.closeOption = true
	case Fold(option, "keep-alive"):
		h.keepOption = true
	case Fold(option, "upgrade"):
		h.UpgradeOption = true
	default:
		for i := range h.Fields {
			f := &h.Fields[i]
			if f.Kind == Other && bytes.EqualFold(f.Name.Of(b), option) {
				h.Discard(f)
			}
		}
	}
}

// persistent is whether the connection outlives the message (RFC 9112,
// section 9.3).
func (h *Head) persistent() bool {
	return !h.closeOption && (h.Minor == 1 || h.keepOption)
}

// nextElement cuts the first element off a comma-separated list.
func nextElement(list []byte) (element, rest []byte) {
	i := bytes.IndexByte(list, ',')
	if i < 0 {
		i = len(list)
	} else {
		rest = list[i+1:]
	}
	element = list[:i]
	element = element[:trimEnd(element)]
	return element[trimStart(element):], rest
}

// HasElement reports whether lower, a lower-case token, stands in the list
// that is the value of a field; parameters behind ";" are not looked at.
func HasElement(list []byte, lower string) bool {
	for len(list) > 0 {
		var element []byte
		element, list = nextElement(list)
		if i := bytes.IndexByte(element, ';'); i >= 0 {
			element = element[:trimEnd(element[:i])]
		}
		if Fold(element, lower) {
			return true
		}
	}
	return false
}
