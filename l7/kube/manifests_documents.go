package kube

import (
	"bytes"
	"io"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// byteOrderMark is what Windows editors begin a file with.
const byteOrderMark = "\xEF\xBB\xBF"

// parseFile reads the YAML documents, or the JSON one, of a file that holds data.
func parseFile(name string, data []byte) parsed {
	p, _, _ := parseFrom(name, bytes.NewReader(data)) // which does not fail
	return p
}

// parseFrom reads the YAML documents, or the JSON one, of the file behind r, and
// returns its size: on all processors, as there may be tens of thousands of
// documents, and a node that starts serves nothing before the last.
func parseFrom(name string, r io.Reader) (p parsed, size int, err error) {
	if strings.HasSuffix(name, ".json") {
		data, err := io.ReadAll(r)
		text := bytes.TrimPrefix(data, []byte(byteOrderMark))
		p.object(place{file: name, document: 1, line: 1}, text, metav1.TypeMeta{}, false)
		return p, len(data), err
	}
	var parts []*parsed
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	s := shares{r: r, free: make(chan []byte, runtime.GOMAXPROCS(0))}
	for line := 1; ; {
		text := s.next()
		if len(text) == 0 {
			break
		}
		if size == 0 {
			text = bytes.TrimPrefix(text, []byte(byteOrderMark))
		}
		size = s.size
		part, at := new(parsed), place{file: name, line: line}
		parts = append(parts, part)
		line += bytes.Count(text, []byte("\n"))
		group.Go(func() error {
			part.yamls(at, text)
			s.done(text)
			return nil
		})
	}
	_ = group.Wait() // none fails
	return join(parts), size, s.err
}

// join puts the parts of a file together, each of which has counted its own
// documents.
func join(parts []*parsed) parsed {
	n := 0
	for _, part := range parts {
		n += len(part.manifests)
	}
	all := parsed{manifests: make([]manifest, 0, n)}
	for _, part := range parts {
		for _, m := range part.manifests {
			m.place.document += all.documents
			all.manifests = append(all.manifests, m)
		}
		for _, f := range part.faults {
			f.place.document += all.documents
			all.faults = append(all.faults, f)
		}
		all.documents += part.documents
	}
	return all
}

// cutDocument cuts the first YAML document off data. The line of dashes stays
// with the document it opens, which may begin in that very line.
func cutDocument(data []byte) (doc, rest []byte) {
	for i := 0; ; i++ {
		n := bytes.Index(data[i:], []byte("\n---"))
		if n < 0 {
			return data, nil
		}
		i += n
		if end := i + len("\n---"); end == len(data) || isBlank(data[end]) {
			return data[:i+1], data[i+1:]
		}
	}
}

// isBlank reports whether a line of dashes may end, or go on, with c.
func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// yamls reads the documents that text holds; at is where it begins.
func (p *parsed) yamls(at place, text []byte) {
	p.words = make(words)
	p.manifests = make([]manifest, 0, 1+bytes.Count(text, []byte("\n---")))
	for len(text) > 0 {
		var doc []byte
		doc, text = cutDocument(text)
		at.document++
		p.yaml(at, doc)
		at.line += bytes.Count(doc, []byte("\n"))
	}
	p.documents, p.plain, p.words = at.document, plain{}, nil
}
