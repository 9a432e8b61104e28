package kube

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// A key is the identity of an object. All kinds here have their own name, so
// the API group adds nothing.
type key struct{ kind, namespace, name string }

func (k key) String() string {
	if k.namespace == "" {
		return k.kind + " " + k.name
	}
	return k.kind + " " + k.namespace + "/" + k.name
}

// A place is where in a folder something stands.
type place struct {
	file     string
	document int    // from 1; 0 for the file as a whole
	line     int    // where the document begins, from 1
	item     string // as in items[3], in a List
}

func (p place) String() string {
	if p.document == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d: document %d%s", p.file, p.line, p.document, strings.TrimSuffix(" "+p.item, " "))
}

// A manifest is one object of a file.
type manifest struct {
	place place
	// object is one of the kinds in Objects.
	object metav1.Object
	// kept says that it is the last good version of one that cannot be read
	// any more.
	kept bool
}

// key is the object's identity. It is not kept beside the object: there may be
// tens of thousands.
func (m manifest) key() key {
	return key{kindOfObject(m.object), m.object.GetNamespace(), m.object.GetName()}
}

// A fault is a problem in a file.
type fault struct {
	place place
	key   key // zero where it cannot be told
	text  string
	// lost says that an object could not be read; else it is used as it is.
	lost bool
}

func (f fault) problem() Problem {
	p := Problem{Object: f.place.String(), Text: f.text}
	if f.key.name != "" {
		p.Object += ": " + f.key.String()
	}
	return p
}

// parsed collects what a file holds. The first fault costs the object it
// stands in, no other.
type parsed struct {
	manifests []manifest
	faults    []fault
	documents int   // how many there were
	plain     plain // is used again for each
	words     words // that stand in many
}

func (p *parsed) fault(at place, k key, lost bool, format string, args ...any) {
	p.faults = append(p.faults, fault{place: at, key: k, lost: lost, text: fmt.Sprintf(format, args...)})
}

func (p *parsed) yaml(at place, doc []byte) {
	if data, ok := p.plain.json(doc); ok {
		p.object(at, data, metav1.TypeMeta{}, true)
		return
	}
	data, err := yaml.YAMLToJSONStrict(doc)
	if err == nil {
		p.object(at, data, metav1.TypeMeta{}, false)
		return
	}
	// Once more with as many lines as stand before the document, so that the
	// error counts them as an editor does; it may run over several itself.
	_, err = yaml.YAMLToJSONStrict(append(bytes.Repeat([]byte("\n"), at.line-1), doc...))
	text := strings.Join(strings.Fields(fmt.Sprint(err)), " ")

	// A key that stands twice is a fault that the API server only warns of.
	if data, err = yaml.YAMLToJSON(doc); err != nil {
		p.fault(at, key{}, true, "%s: correct it", text)
		return
	}
	p.fault(at, key{}, false, "%s: remove one of the two", text)
	p.object(at, data, metav1.TypeMeta{}, false)
}

// object reads one object, or those of a List. Items of a typed list (an
// IngressList) have no type of their own and take it from outer.
// plain says that data was made of plain YAML.
func (p *parsed) object(at place, data []byte, outer metav1.TypeMeta, plain bool) {
	if plain {
		if object, ok := decodePlain(data, p.words); ok {
			p.add(at, object)
			return
		}
	}
	switch t := bytes.TrimSpace(data); {
	case len(t) == 0 || string(t) == "null":
		return // nothing but comments
	case t[0] != '{':
		p.fault(at, key{}, true, "is no Kubernetes object: add apiVersion and kind")
		return
	}
	h, err := readHead(data)
	if err != nil {
		p.fault(at, key{}, true, "%v: correct it", err)
		return
	}
	if h.Kind == "" {
		h.TypeMeta = outer
	}
	if h.Kind == "" {
		p.fault(at, key{}, true, "is no Kubernetes object: add apiVersion and kind")
		return
	}
	if kind, ok := strings.CutSuffix(h.Kind, "List"); ok {
		for i, item := range h.Items {
			at.item = fmt.Sprintf("items[%d]", i)
			p.object(at, item, metav1.TypeMeta{APIVersion: h.APIVersion, Kind: kind}, plain)
		}
		return
	}
	p.typed(at, data, h)
}

// typed reads an object of a kind that routes are made of; the others are
// passed over.
func (p *parsed) typed(at place, data []byte, h head) {
	object, version := newObject(h.TypeMeta)
	if object == nil {
		return
	}
	k := key{h.Kind, namespaceOf(h.Kind, h.Metadata.Namespace), h.Metadata.Name}
	switch {
	case oldVersion(h.TypeMeta):
		p.fault(at, k, false, "is of %s, and is read as Kubernetes converted it: write it as %s", h.APIVersion, version)
		if h.Kind == "Ingress" {
			object = &oldIngress{}
		}
	case h.APIVersion != version:
		p.fault(at, k, true, "apiVersion %q is not read: write the object as %s", h.APIVersion, version)
		return
	}
	if k.name == "" {
		p.fault(at, key{}, true, "%s has no metadata.name: add it", h.Kind)
		return
	}
	strict, err := kjson.UnmarshalStrict(data, object)
	if err != nil {
		p.fault(at, k, true, "%v: correct it", err)
		return
	}
	for _, err := range strict {
		p.fault(at, k, false, "%v, which is passed over: correct or remove it", err)
	}
	object.SetNamespace(k.namespace)
	p.add(at, object)
}

// add takes an object in as it is served.
func (p *parsed) add(at place, object metav1.Object) {
	object.SetManagedFields(nil) // large and of no use here
	object = converted(object)
	fit(object)
	if s, ok := object.(*corev1.Secret); ok {
		trimSecret(s)
	}
	p.manifests = append(p.manifests, manifest{place: at, object: object})
}

// namespaceOf is that of an object in which it is written so.
func namespaceOf(kind, written string) string {
	if kind == "IngressClass" {
		return "" // it has none, whatever is written
	}
	return cmp.Or(written, metav1.NamespaceDefault)
}

// kindOfObject is the kind of one that is served.
func kindOfObject(o metav1.Object) string {
	switch o.(type) {
	case *netv1.Ingress:
		return "Ingress"
	case *netv1.IngressClass:
		return "IngressClass"
	case *corev1.Service:
		return "Service"
	case *discoveryv1.EndpointSlice:
		return "EndpointSlice"
	case *endpointsObject:
		return "Endpoints"
	case *corev1.Secret:
		return "Secret"
	}
	return ""
}

// newObject returns an empty object of the kind that t names and the version
// it is read in, or nil for what is no affair of ours: other kinds, and kinds
// of other groups that bear the same name.
func newObject(t metav1.TypeMeta) (object metav1.Object, version string) {
	group, _, ok := strings.Cut(t.APIVersion, "/")
	if !ok {
		group = ""
	}
	switch t.Kind + "." + group {
	case "Ingress.", "Ingress.extensions", "Ingress." + netv1.GroupName:
		return &netv1.Ingress{}, netv1.GroupName + "/v1"
	case "IngressClass.", "IngressClass." + netv1.GroupName:
		return &netv1.IngressClass{}, netv1.GroupName + "/v1"
	case "EndpointSlice.", "EndpointSlice." + discoveryv1.GroupName:
		return &discoveryv1.EndpointSlice{}, discoveryv1.GroupName + "/v1"
	case "Endpoints.":
		return &endpointsObject{}, "v1"
	case "Service.":
		return &corev1.Service{}, "v1"
	case "Secret.":
		return &corev1.Secret{}, "v1"
	}
	return nil, ""
}

// trimSecret forgets what of a Secret nobody needs. stringData goes over data,
// as the API server has it.
func trimSecret(s *corev1.Secret) {
	if s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for k, v := range s.StringData {
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
	trimData(s.Data)
	// kubectl apply keeps the whole Secret in an annotation.
	s.Annotations = nil
}
