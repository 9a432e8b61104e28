package middleware

import (
	"cmp"
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/value"
)

// Compress encodes the bodies of responses for clients that understand it. It
// leaves alone what is encoded already, a part of a whole (206), what says
// no-transform, and gRPC. An event stream is flushed with each event.
type Compress struct {
	// Encodings are those that may be used, the preferred one first, of
	// "zstd", "br" and "gzip"; none means all, in this order. A client that
	// prefers one gets that.
	Encodings []string `json:"encodings,omitempty"`
	// Least is the shortest body that is worth it, in bytes; 0 is
	// DefaultCompressLeast. One whose length is not known before is.
	Least int64 `json:"least,omitempty"`
	// Types are the media types that are encoded, "text/*" for all of a kind,
	// "*/*" for all; none means text, JSON, XML, scripts, SVG, WebAssembly and
	// fonts that are not compressed yet.
	Types []string `json:"types,omitempty"`
	// Except are media types that are not, whatever Types says.
	Except []string `json:"except,omitempty"`
	// Level is 1, the fastest, to 9, the smallest; 0 leaves the choice to each
	// encoding.
	Level int `json:"level,omitempty"`
}

// DefaultCompressLeast is the least length that is encoded, in bytes: a shorter
// response stands in one packet, whatever is done to it.
const DefaultCompressLeast = 1024

// Kind is its name in the configuration.
func (Compress) Kind() string { return "compress" }

// New returns the middleware.
func (s Compress) New(Env) Middleware {
	if len(s.Encodings) == 0 {
		s.Encodings = encodings()
	}
	s.Least = cmp.Or(s.Least, DefaultCompressLeast)
	m := &compress{step: s, coders: make([]*coder, len(s.Encodings))}
	for i, name := range s.Encodings {
		m.coders[i] = newCoder(name, s.Level)
	}
	return m
}

type compress struct {
	step   Compress
	coders []*coder
}

// Bodily says that bodies may be transformed.
func (*compress) Bodily() {}

// Handle has the response encoded, if it comes to one that is worth it.
func (m *compress) Handle(_ context.Context, r *Request) *Answer {
	if r.Upgrade || r.GRPC {
		return nil
	}
	accepted := r.Header.Values("Accept-Encoding")
	head := r.Method == http.MethodHead
	r.OnResponse(func(w *Response) {
		// The response to HEAD has no body, and tells no length that it has.
		if !head && w.Length >= 0 && w.Length < m.step.Least || !m.worth(w) {
			return
		}
		vary(&w.Header, "Accept-Encoding")
		if c := m.negotiate(accepted); c != nil && !head {
			encode(w, c)
		}
	})
	return nil
}

// encode has w's body encoded by c, and says so.
func encode(w *Response, c *coder) {
	w.Transform(c.transform)
	w.Header.Set("Content-Encoding", c.name)
	// A part of this body cannot be asked for, and sums are of another one.
	for _, name := range []string{"Accept-Ranges", "Content-Digest", "Content-MD5", "Digest"} {
		w.Header.Del(name)
	}
	if tag := w.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		// No longer byte for byte the same (RFC 9110, section 8.8.1).
		w.Header.Set("ETag", "W/"+tag)
	}
}

// worth reports whether a response is one that a client may get encoded,
// whatever its length.
func (m *compress) worth(w *Response) bool {
	switch w.Status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusPartialContent, http.StatusNotModified:
		return false
	}
	if w.Header.Has("Content-Encoding") || w.Header.Has("Content-Range") {
		return false
	}
	for _, v := range w.Header.Values("Cache-Control") {
		if strings.Contains(strings.ToLower(v), "no-transform") {
			return false
		}
	}
	media, _, err := mime.ParseMediaType(w.Header.Get("Content-Type"))
	if err != nil && media == "" || strings.HasPrefix(media, "application/grpc") || ofType(m.step.Except, media) {
		return false
	}
	if len(m.step.Types) == 0 {
		return compressible(media)
	}
	return ofType(m.step.Types, media)
}

// compressible reports whether bodies of a media type become much shorter.
func compressible(media string) bool {
	if strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml") || strings.HasSuffix(media, "+text") {
		return true
	}
	switch media {
	case "application/json", "application/x-ndjson", "application/jsonl", "application/javascript", "application/x-javascript",
		"application/xml", "application/yaml", "application/wasm", "application/vnd.ms-fontobject", "application/x-font-ttf",
		"font/ttf", "font/otf", "font/collection", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon":
		return true
	}
	return false
}

// ofType reports whether a media type is one of those listed.
func ofType(list []string, media string) bool {
	for _, t := range list {
		if kind, all := strings.CutSuffix(t, "*"); t == "*/*" || strings.EqualFold(t, media) ||
			all && len(media) > len(kind) && strings.EqualFold(media[:len(kind)], kind) {
			return true
		}
	}
	return false
}

// vary says that the response depends on a field of the request.
func vary(h *Header, name string) {
	for _, v := range h.Values("Vary") {
		for listed := range strings.SplitSeq(v, ",") {
			if listed = strings.TrimSpace(listed); listed == "*" || strings.EqualFold(listed, name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}

// A CompressSection is compress = {...}.
type CompressSection struct {
	Encodings []string `toml:"encodings"`
	MinSize   string   `toml:"min_size"`
	Types     []string `toml:"types"`
	Except    []string `toml:"except"`
	Level     *int     `toml:"level"`
}

// Parse checks s.
func (s CompressSection) Parse(p value.Parser) Step {
	for i, name := range s.Encodings {
		p.Choice(cmp.Or(name, "none"), fmt.Sprintf("encodings[%d]", i), encodings())
	}
	checkTypes(p, s.Types, "types")
	checkTypes(p, s.Except, "except")
	return Compress{
		Encodings: s.Encodings, Types: s.Types, Except: s.Except,
		Least: p.Size(s.MinSize, "min_size", DefaultCompressLeast, 1, 1<<30),
		Level: value.Number(p, s.Level, "level", 0, 1, 9),
	}
}

func checkTypes(p value.Parser, list []string, key string) {
	for i, t := range list {
		if kind, of, ok := strings.Cut(t, "/"); !ok || !httpguts.ValidHeaderFieldName(kind) || !httpguts.ValidHeaderFieldName(of) {
			p.Bad(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is no media type: want such as \"application/json\" or \"text/*\"", t))
		}
	}
}
