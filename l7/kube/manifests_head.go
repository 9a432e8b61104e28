package kube

import (
	"bytes"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
)

// head is what tells an object's kind and name.
type head struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

// readHead reads the head of an object that is JSON.
func readHead(data []byte) (h head, err error) {
	err = kjson.UnmarshalCaseSensitivePreserveInts(data, &h)
	return h, err
}

// words are strings that come again and again, of which one copy is enough.
type words map[string]string

func (w words) of(b []byte) string {
	if s, ok := w[string(b)]; ok {
		return s
	}
	s := string(b)
	w[s] = s
	return s
}

// scanType reads what kind of object data is, which was made of plain YAML and so
// is compact JSON without a fault. Tools and most people write it first. It
// returns false where it is not said, or not plainly.
func scanType(data []byte, w words) (t metav1.TypeMeta, ok bool) {
	if data[0] != '{' {
		return t, false
	}
	for rest := data[1:]; rest[0] == '"'; {
		n := scanValue(rest)
		key := rest[1 : n-1]
		rest = rest[n+1:] // with the colon
		n = scanValue(rest)
		value := rest[:n]
		if rest = rest[n:]; rest[0] == ',' {
			rest = rest[1:]
		}
		var field *string
		switch string(key) {
		case "apiVersion":
			field = &t.APIVersion
		case "kind":
			field = &t.Kind
		default:
			continue
		}
		if value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 {
			return t, false
		}
		*field = w.of(value[1 : n-1])
		if t.APIVersion != "" && t.Kind != "" {
			return t, true
		}
	}
	return t, false
}

// scanValue returns the length of the value that data begins with.
func scanValue(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(data)
}
