package kube

import (
	"bytes"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// parseFile reads the YAML documents, or the JSON one, of a file: on all
// processors, as there may be tens of thousands, and a node that starts serves
// nothing before the last.
func parseFile(name string, data []byte) parsed {
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")) // the byte order mark of Windows editors
	if strings.HasSuffix(name, ".json") {
		var p parsed
		p.object(place{file: name, document: 1, line: 1}, data, metav1.TypeMeta{}, false)
		return p
	}
	var parts []*parsed
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for line := 1; len(data) > 0; {
		var text []byte
		text, data = cutShare(data)
		part, at := new(parsed), place{file: name, line: line}
		parts = append(parts, part)
		group.Go(func() error {
			part.yamls(at, text)
			return nil
		})
		line += bytes.Count(text, []byte("\n"))
	}
	_ = group.Wait() // none fails
	return join(parts)
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

// share is how many bytes of a file one goroutine reads at a time, to the end of
// a document: enough that to hand them over costs next to nothing.
const share = 64 << 10

// cutShare cuts a share of whole documents off data.
func cutShare(data []byte) (text, rest []byte) {
	if len(data) <= share {
		return data, nil
	}
	last, rest := cutDocument(data[share:])
	return data[:share+len(last)], rest
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
		if end := i + len("\n---"); end == len(data) || bytes.IndexByte([]byte(" \t\r\n"), data[end]) >= 0 {
			return data[:i+1], data[i+1:]
		}
	}
}

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
