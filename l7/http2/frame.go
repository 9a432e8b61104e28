package http2

import "encoding/binary"

// A kind is a frame type (RFC 9113, section 6).
type kind uint8

const (
	kindData         kind = 0x0
	kindHeaders      kind = 0x1
	kindPriority     kind = 0x2
	kindRST          kind = 0x3
	kindSettings     kind = 0x4
	kindPushPromise  kind = 0x5
	kindPing         kind = 0x6
	kindGoAway       kind = 0x7
	kindWindowUpdate kind = 0x8
	kindContinuation kind = 0x9
)

const (
	flagAck        = 0x1  // SETTINGS, PING
	flagEndStream  = 0x1  // DATA, HEADERS
	flagEndHeaders = 0x4  // HEADERS, CONTINUATION
	flagPadded     = 0x8  // DATA, HEADERS
	flagPriority   = 0x20 // HEADERS
)

// Identifiers of settings (RFC 9113, section 6.5.2; RFC 8441; RFC 9218).
const (
	settingHeaderTableSize      = 0x1
	settingEnablePush           = 0x2
	settingMaxConcurrentStreams = 0x3
	settingInitialWindowSize    = 0x4
	settingMaxFrameSize         = 0x5
	settingMaxHeaderListSize    = 0x6
	settingEnableConnect        = 0x8
	settingNoPriorities         = 0x9
)

// headerSize is that of a frame's header.
const headerSize = 9

// A frame is a frame's header.
type frame struct {
	length int // of the payload
	kind   kind
	flags  uint8
	stream uint32
}

func (f frame) has(flag uint8) bool { return f.flags&flag != 0 }

// parseFrame parses the header at the start of b.
func parseFrame(b []byte) frame {
	_ = b[headerSize-1]
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   kind(b[3]),
		flags:  b[4],
		stream: binary.BigEndian.Uint32(b[5:]) &^ (1 << 31),
	}
}

func appendFrame(b []byte, f frame) []byte {
	b = append(b, byte(f.length>>16), byte(f.length>>8), byte(f.length), byte(f.kind), f.flags)
	return binary.BigEndian.AppendUint32(b, f.stream)
}

// setLength corrects the length in the header that b starts with.
func setLength(b []byte, n int) { b[0], b[1], b[2] = byte(n>>16), byte(n>>8), byte(n) }

func appendRST(b []byte, stream uint32, code Code) []byte {
	b = appendFrame(b, frame{length: 4, kind: kindRST, stream: stream})
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendWindowUpdate(b []byte, stream, n uint32) []byte {
	b = appendFrame(b, frame{length: 4, kind: kindWindowUpdate, stream: stream})
	return binary.BigEndian.AppendUint32(b, n)
}

func appendPing(b []byte, flags uint8, data [8]byte) []byte {
	b = appendFrame(b, frame{length: 8, kind: kindPing, flags: flags})
	return append(b, data[:]...)
}

func appendGoAway(b []byte, last uint32, code Code, reason string) []byte {
	b = appendFrame(b, frame{length: 8 + len(reason), kind: kindGoAway})
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, reason...)
}

// A setting is one of a SETTINGS frame.
type setting struct {
	id    uint16
	value uint32
}

func appendSettings(b []byte, list ...setting) []byte {
	b = appendFrame(b, frame{length: 6 * len(list), kind: kindSettings})
	for _, s := range list {
		b = binary.BigEndian.AppendUint16(b, s.id)
		b = binary.BigEndian.AppendUint32(b, s.value)
	}
	return b
}

// unpad removes padding and the priority fields from the payload of a DATA or
// HEADERS frame.
func unpad(f frame, p []byte) ([]byte, error) {
	if !f.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, connError(FrameSizeError, "padded frame without a padding length")
	}
	pad := int(p[0])
	if p = p[1:]; pad > len(p) {
		return nil, connError(ProtocolError, "padding longer than the frame")
	}
	return p[:len(p)-pad], nil
}
