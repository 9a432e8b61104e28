package http1

// Bounds of what surrounds the data of a chunked body. Nothing in it is of use
// to us, and a peer could send it forever.
const (
	maxChunkLine = 256     // a size with its extensions
	maxTrailers  = 8 << 10 // all trailer fields
)

// A ChunkReader follows the chunked coding (RFC 9112, section 7.1) through a
// body that arrives in pieces. The zero value stands at the body's start.
type ChunkReader struct {
	left    int64 // bytes of data to come in this chunk
	data    int64 // bytes of data so far
	line    int   // bytes of this size line so far
	trailer int   // bytes of the trailer section so far
	state   chunkState
	digits  uint8
	field   fieldState
	name    [20]byte // start of a trailer field's name
	nameLen int
}

type chunkState uint8

const (
	atSize chunkState = iota
	atExtension
	atSizeLF
	atData
	atDataCR
	atDataLF
	atTrailer
	atTrailerLF
	atDone
)

type fieldState uint8

const (
	fieldStart fieldState = iota
	fieldName
	fieldValue
)

// Done reports whether the body has ended.
func (c *ChunkReader) Done() bool { return c.state == atDone }

// InTrailers reports whether what comes next is of the trailer section.
func (c *ChunkReader) InTrailers() bool { return c.state == atTrailer || c.state == atTrailerLF }

// Next reads on in b, which continues what the last call ended with, and stops
// at the first data, before and behind the trailer section and at the end of
// b. The data is data; n is how much of b has been read, the data included.
func (c *ChunkReader) Next(b []byte) (data []byte, n int, err error) {
	inTrailers := c.InTrailers()
	for n < len(b) && c.state != atDone && c.InTrailers() == inTrailers {
		if c.state == atData {
			size := c.advance(len(b) - n)
			return b[n : n+size], n + size, nil
		}
		if err := c.step(b[n]); err != nil {
			return nil, n, err
		}
		n++
	}
	return nil, n, nil
}

// Strip reads on in b up to the end of the body or of b, and returns how much
// that was. What is to be passed on of it moves to the front of b, size bytes:
// all but chunk extensions, which are for the recipient alone (RFC 9112,
// section 7.1.1) and which not all read alike.
func (c *ChunkReader) Strip(b []byte) (size, n int, err error) {
	for n < len(b) && c.state != atDone {
		if c.state == atData {
			run := c.advance(len(b) - n)
			if size != n {
				copy(b[size:], b[n:n+run])
			}
			size += run
			n += run
			continue
		}
		if err := c.step(b[n]); err != nil {
			return size, n, err
		}
		if c.state != atExtension {
			b[size] = b[n]
			size++
		}
		n++
	}
	return size, n, nil
}

// advance steps over what of n bytes are data of this chunk.
func (c *ChunkReader) advance(n int) int {
	size := min(c.left, int64(n))
	c.data += size
	if c.left -= size; c.left == 0 {
		c.state = atDataCR
	}
	return int(size)
}

// Data returns how many bytes of data there have been.
func (c *ChunkReader) Data() int64 { return c.data }

// step reads one byte that is not data.
func (c *ChunkReader) step(b byte) error {
	switch c.state {
	case atSize, atExtension, atSizeLF:
		return c.sizeLine(b)
	case atDataCR:
		c.state = atDataLF
		return expect(b, '\r')
	case atDataLF:
		c.state = atSize
		return expect(b, '\n')
	}
	return c.trailers(b)
}

func expect(b, want byte) error {
	if b != want {
		return ErrChunk
	}
	return nil
}

// sizeLine reads a chunk's size and its extensions. The extensions are not
// looked at, but no control character may stand in them: a bare LF there ends
// the line for some (CVE-2025-22871).
func (c *ChunkReader) sizeLine(b byte) error {
	if c.line++; c.line > maxChunkLine {
		return ErrChunk
	}
	switch {
	case c.state == atSizeLF:
		c.line, c.digits = 0, 0
		c.state = atData
		if c.left == 0 {
			c.state = atTrailer
		}
		return expect(b, '\n')
	case b == '\r' && c.digits > 0:
		c.state = atSizeLF
	case c.state == atExtension:
		if b < 0x20 && b != '\t' || b == 0x7F {
			return ErrChunk
		}
	case b == ';' && c.digits > 0:
		c.state = atExtension
	default:
		digit, ok := unhex(b)
		if c.digits++; !ok || c.digits > 15 { // 15 digits fit an int64
			return ErrChunk
		}
		c.left = c.left<<4 | int64(digit)
	}
	return nil
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// trailers reads the trailer section. Fields that would change how the message
// is framed, routed or believed may not stand there (RFC 9110, section 6.5.1).
func (c *ChunkReader) trailers(b byte) error {
	if c.trailer++; c.trailer > maxTrailers {
		return ErrTrailer
	}
	if c.state == atTrailerLF {
		c.state = atTrailer
		if c.field == fieldStart {
			c.state = atDone
		}
		c.field = fieldStart
		return expect(b, '\n')
	}
	if b == '\r' && c.field != fieldName {
		c.state = atTrailerLF
		return nil
	}
	switch {
	case c.field == fieldValue:
		if b < 0x20 && b != '\t' || b == 0x7F {
			return ErrTrailer
		}
	case b == ':' && c.field == fieldName:
		c.field = fieldValue
		kind, _ := nameKind(c.name[:min(c.nameLen, len(c.name))])
		if kind != Other {
			return ErrTrailer
		}
		c.nameLen = 0
	case !isToken(b):
		return ErrTrailer
	default:
		c.field = fieldName
		if c.nameLen < len(c.name) {
			c.name[c.nameLen] = b
		}
		c.nameLen++
	}
	return nil
}
