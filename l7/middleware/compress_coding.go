package middleware

import (
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// encodings are all there are, the best one first.
func encodings() []string { return []string{"zstd", "br", "gzip"} }

// negotiate returns the coder that a client prefers, by its Accept-Encoding
// fields (RFC 9110, section 12.5.3), nil where it prefers none.
func (m *compress) negotiate(fields []string) *coder {
	weights := map[string]float64{}
	for _, v := range fields {
		for element := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(element, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name == "x-gzip" {
				name = "gzip"
			}
			if q, ok := weight(params); ok && name != "" {
				weights[name] = q
			}
		}
	}
	var best *coder
	most := max(weights["identity"], 0)
	for _, c := range m.coders {
		q, named := weights[c.name]
		if !named {
			q = weights["*"]
		}
		// At equal weights an encoding is better than none, and the first one
		// the best.
		if q > most || q == most && q > 0 && best == nil {
			best, most = c, q
		}
	}
	return best
}

// weight reads the parameters of an element, "q=0.5" or nothing.
func weight(params string) (float64, bool) {
	params = strings.TrimSpace(params)
	if params == "" {
		return 1, true
	}
	name, value, _ := strings.Cut(params, "=")
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return q, err == nil && strings.EqualFold(strings.TrimSpace(name), "q") && q >= 0 && q <= 1
}

// A coder makes bodies of one encoding. Its encoders are used again: what they
// hold is large beside a usual body.
type coder struct {
	name string
	pool sync.Pool // of encoder
}

// An encoder writes to what it was reset to.
type encoder interface {
	Write([]byte) (int, error)
	Flush() error
	Close() error
	Reset(io.Writer)
}

// Windows, as powers of two: memory is needed for each body at the same time.
const (
	windowBrotli = 19
	windowZstd   = 1 << 19
)

// Levels at which an encoding takes about as long as it does to send what it
// saves.
const (
	levelGzip   = 5
	levelBrotli = 4
	levelZstd   = 3
)

func newCoder(name string, level int) *coder {
	c := &coder{name: name}
	at := func(usual int) int {
		if level > 0 {
			return level
		}
		return usual
	}
	c.pool.New = func() any {
		switch name {
		case "br":
			return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: at(levelBrotli), LGWin: windowBrotli})
		case "zstd":
			e, _ := zstd.NewWriter(nil, // no error for such options
				zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(at(levelZstd))), zstd.WithWindowSize(windowZstd),
				zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
			return e
		}
		e, _ := gzip.NewWriterLevel(nil, at(levelGzip)) // no error for 1 to 9
		return e
	}
	return c
}

// transform is a Transform.
func (c *coder) transform(w Writer) Writer {
	e := c.pool.Get().(encoder) //nolint:forcetypeassert // nothing else is put there
	e.Reset(w)
	return &encoded{encoder: e, coder: c, to: w}
}

// encoded is a body on its way.
type encoded struct {
	encoder
	coder *coder
	to    Writer
}

// Flush has the client get all that was written.
func (e *encoded) Flush() error {
	if err := e.encoder.Flush(); err != nil {
		return err
	}
	return e.to.Flush()
}

// Close writes the end. The encoder of a body that broke off is not used again.
func (e *encoded) Close() error {
	if err := e.encoder.Close(); err != nil {
		return err
	}
	e.encoder.Reset(nil)
	e.coder.pool.Put(e.encoder)
	return e.to.Close()
}
