package kube

import (
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// decodePlain reads an object that was made of plain YAML, at a third of the
// cost of the library of Kubernetes. It returns false for all that there may be
// something to say of, in the words of that library and thus of the API server.
func decodePlain(data []byte, w words) (object metav1.Object, ok bool) {
	t, ok := scanType(data, w)
	if !ok {
		return nil, false
	}
	object, version := newObject(t)
	if object == nil || t.APIVersion != version || !unmarshalPlain(data, object) || object.GetName() == "" {
		return nil, false
	}
	object.SetNamespace(namespaceOf(t.Kind, object.GetNamespace()))
	return object, true
}

// unmarshalPlain reads data into object, which is empty. Of what both libraries
// accept they make the same. Where they would not is no plain YAML (a name that
// stands twice, text that is not UTF-8, numbers beyond 64 bits), or refused here
// (a name in other letters, base64 in several lines).
func unmarshalPlain(data []byte, object metav1.Object) bool {
	// Names that stand twice are gone already; to look for them costs a list.
	return jsonv2.Unmarshal(data, object, jsontext.AllowDuplicateNames(true), jsonv2.RejectUnknownMembers(true)) == nil
}
