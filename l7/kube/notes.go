package kube

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// An object is an Ingress or a Service whose annotations a dialect reads.
type object struct {
	kind string
	*metav1.ObjectMeta
}

func (o *object) String() string { return o.kind + " " + o.Namespace + "/" + o.Name }

// notes reads the annotations of one object by the keys of a dialect, and tells
// of values that it cannot read: every method has a default for those.
type notes struct {
	t *translation
	o *object
	// names returns the annotations that key may stand in, the first one that
	// does counts.
	names func(key string) []string
}

// text returns the value at key, "" where it is missing or empty, which is the
// same to every dialect.
func (n notes) text(key string) string {
	_, value := n.find(key)
	return value
}

// has reports whether key has a value.
func (n notes) has(key string) bool { return n.text(key) != "" }

// find returns the annotation that key stands in, and its value without blanks
// around it.
func (n notes) find(key string) (name, value string) {
	if len(n.o.Annotations) == 0 {
		return "", ""
	}
	for _, name := range n.names(key) {
		if v := strings.TrimSpace(n.o.Annotations[name]); v != "" {
			return name, v
		}
	}
	return "", ""
}

// bad tells that the value at key cannot be used, and what becomes of it:
// "want ..., it is left out".
func (n notes) bad(key, format string, args ...any) {
	name, _ := n.find(key)
	n.t.tell(n.o.String(), annotation(name), format, args...)
}

// refuse tells that a key that protects cannot be understood: the rules of the
// Ingress that is being read answer 503.
func (n notes) refuse(key, format string, args ...any) {
	n.t.refused = true
	n.bad(key, format+"; until then its rules answer 503", args...)
}

// annotation is the place of one in an object.
func annotation(name string) string {
	if name == "" {
		return "metadata.annotations"
	}
	return fmt.Sprintf("metadata.annotations[%s]", name)
}

// flag reads true and false.
func (n notes) flag(key string, otherwise bool) bool {
	value := n.text(key)
	if value == "" {
		return otherwise
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		n.bad(key, "%q is neither true nor false, it counts as %v: write one of the two", value, otherwise)
		return otherwise
	}
	return b
}

// number reads a whole number from least to most.
func (n notes) number(key string, otherwise, least, most int64) int64 {
	value := n.text(key)
	if value == "" {
		return otherwise
	}
	i, err := strconv.ParseInt(value, 10, 64)
	if err != nil || i < least || i > most {
		n.bad(key, "%q is no number from %d to %d, it counts as %d: correct it", value, least, most, otherwise)
		return otherwise
	}
	return i
}

// list reads values between commas, without those that are empty.
func (n notes) list(key string) []string {
	var out []string
	for s := range strings.SplitSeq(n.text(key), ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
