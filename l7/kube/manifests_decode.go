package kube

import (
	"reflect"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
)

// decode reads data into object, which is empty, or into another of its kind, and
// returns what the API server would warn of. plain says that data was made of
// plain YAML.
func decode(data []byte, object metav1.Object, plain bool) (_ metav1.Object, strict []error, err error) {
	if plain {
		if decodePlain(data, object) {
			return object, nil, nil
		}
		object = reflect.New(reflect.TypeOf(object).Elem()).Interface().(metav1.Object)
	}
	strict, err = kjson.UnmarshalStrict(data, object)
	return object, strict, err
}

// decodePlain is decode at a third of the cost for data that nothing is wrong
// with. It returns false where anything may be: what, says the library of
// Kubernetes, in the words of the API server.
//
// Of what both libraries accept they make the same. Where they would not is no
// plain YAML (a name that stands twice, text that is not UTF-8, numbers beyond 64
// bits), or refused here (a name in other letters, base64 in several lines).
func decodePlain(data []byte, object metav1.Object) bool {
	// Names that stand twice are gone already; to look for them costs a list.
	return jsonv2.Unmarshal(data, object, jsontext.AllowDuplicateNames(true), jsonv2.RejectUnknownMembers(true)) == nil
}
