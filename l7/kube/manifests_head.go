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
	if h, ok := scanHead(data); ok {
		return h, nil
	}
	err = kjson.UnmarshalCaseSensitivePreserveInts(data, &h)
	return h, err
}

// scanHead is readHead for compact JSON that was made of plain YAML, and is not
// a List: at a fraction of the cost, as all of the object is read once more in
// any case. It returns false where it cannot tell.
func scanHead(data []byte) (h head, ok bool) {
	ok = scanFields(data, func(key, value []byte) bool {
		switch string(key) {
		case "apiVersion":
			return scanString(value, &h.APIVersion)
		case "kind":
			return scanString(value, &h.Kind)
		case "metadata":
			return scanFields(value, func(key, value []byte) bool {
				switch string(key) {
				case "name":
					return scanString(value, &h.Metadata.Name)
				case "namespace":
					return scanString(value, &h.Metadata.Namespace)
				}
				return true
			})
		case "items":
			return false
		}
		return true
	})
	return h, ok
}

// scanFields calls field for each one of an object until it returns false.
func scanFields(object []byte, field func(key, value []byte) bool) bool {
	if len(object) < 2 || object[0] != '{' {
		return false
	}
	for rest := object[1:]; rest[0] != '}'; {
		n := scanValue(rest)
		if n < 2 || n == len(rest) || rest[0] != '"' || rest[n] != ':' {
			return false
		}
		key := rest[1 : n-1]
		rest = rest[n+1:]
		if n = scanValue(rest); n == 0 || n == len(rest) || !field(key, rest[:n]) {
			return false
		}
		if rest = rest[n:]; rest[0] == ',' {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return false
		}
	}
	return true
}

// scanValue returns the length of the value that data begins with.
func scanValue(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(data))
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

// scanString reads a string without escapes.
func scanString(value []byte, s *string) bool {
	if len(value) < 2 || value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 {
		return false
	}
	*s = string(value[1 : len(value)-1])
	return true
}
