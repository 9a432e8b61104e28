package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
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
	t     *translation
	o     *object
	found map[string]note
}

// A note is an annotation that has a value.
type note struct {
	name, value string
	rank        int
}

// newNotes reads the annotations of o. keyOf returns the key that an annotation
// stands for, "" for none, and which of several of the same key counts: that of
// the lowest rank. An empty value is as none.
func newNotes(t *translation, o *object, keyOf func(name string) (key string, rank int)) notes {
	n := notes{t: t, o: o}
	for name, value := range o.Annotations {
		key, rank := keyOf(name)
		if value = strings.TrimSpace(value); key == "" || value == "" {
			continue
		}
		if n.found == nil {
			n.found = make(map[string]note)
		}
		if other, ok := n.found[key]; !ok || rank < other.rank {
			n.found[key] = note{name, value, rank}
		}
	}
	return n
}

// text returns the value at key, "" where there is none.
func (n notes) text(key string) string { return n.found[key].value }

// has reports whether key has a value.
func (n notes) has(key string) bool { return n.found[key].name != "" }

// bad tells that the value at key cannot be used, what becomes of it, and what
// would cure that.
func (n notes) bad(key, format string, args ...any) {
	n.t.tell(n.o.String(), annotation(n.found[key].name), format, args...)
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

// yaml reads a value that is YAML into v, whose fields have json tags. An
// unknown field is an error.
func (n notes) yaml(key string, v any) error {
	err := yaml.UnmarshalStrict([]byte(n.text(key)), v)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("a %s does not belong there", kind.Value) // the rest speaks of Go
	}
	return err
}
