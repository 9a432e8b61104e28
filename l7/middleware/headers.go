package middleware

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/value"
)

// Headers changes the fields that the endpoint gets, and those of the response.
type Headers struct {
	Request, Response Fields
}

// Fields are changes of field lines, made in this order: those removed, those
// that become the only ones of their name, those that are added. The Host of a
// request can be set.
type Fields struct {
	Remove   []string
	Set, Add Header
}

// SetOrRemove returns Fields that set each name to its value and remove those
// without one.
func SetOrRemove(values map[string]string) Fields {
	var f Fields
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if v := values[name]; v != "" {
			f.Set.Add(name, v)
		} else {
			f.Remove = append(f.Remove, name)
		}
	}
	return f
}

// Kind is its name in the configuration.
func (Headers) Kind() string { return "headers" }

// MarshalJSON leaves out the values that endpoints get: they may be secrets.
func (s Headers) MarshalJSON() ([]byte, error) {
	names := func(h Header) (out []string) {
		for _, f := range h {
			out = append(out, f.Name)
		}
		return out
	}
	lines := func(h Header) (out []string) {
		for _, f := range h {
			out = append(out, f.Name+": "+f.Value)
		}
		return out
	}
	type fields struct {
		Remove []string `json:"remove,omitempty"`
		Set    []string `json:"set,omitempty"`
		Add    []string `json:"add,omitempty"`
	}
	return json.Marshal(map[string]fields{
		"request":  {s.Request.Remove, names(s.Request.Set), names(s.Request.Add)},
		"response": {s.Response.Remove, lines(s.Response.Set), lines(s.Response.Add)},
	})
}

// New returns the middleware.
func (s Headers) New(Env) Middleware { return &headers{s} }

type headers struct{ step Headers }

// Handle changes the request's fields, and will the response's.
func (m *headers) Handle(_ context.Context, r *Request) *Answer {
	m.step.Request.apply(&r.Header)
	if host := r.Header.Get("Host"); host != "" {
		r.Authority = host
		r.Header.Del("Host")
	}
	if !m.step.Response.empty() {
		r.OnResponse(func(w *Response) { m.step.Response.apply(&w.Header) })
	}
	return nil
}

func (f *Fields) empty() bool { return len(f.Remove)+len(f.Set)+len(f.Add) == 0 }

func (f *Fields) apply(h *Header) {
	for _, name := range f.Remove {
		h.Del(name)
	}
	for _, s := range f.Set {
		h.Set(s.Name, s.Value)
	}
	*h = append(*h, f.Add...)
}

// A HeadersSection is headers = {...}.
type HeadersSection struct {
	Request  FieldsSection `toml:"request"`
	Response FieldsSection `toml:"response"`
}

// A FieldsSection is request or response of it.
type FieldsSection struct {
	// Set holds values by name; an empty one removes the field.
	Set    map[string]string `toml:"set"`
	Add    map[string]string `toml:"add"`
	Remove []string          `toml:"remove"`
}

// Parse checks s.
func (s HeadersSection) Parse(p value.Parser) Step {
	out := Headers{
		Request:  s.Request.parse(p.In("request"), "Host"),
		Response: s.Response.parse(p.In("response"), ""),
	}
	if out.Request.empty() && out.Response.empty() {
		p.Bad("", "changes nothing: want set, add or remove in request or response")
	}
	return out
}

// parse checks s; one more name may be set.
func (s FieldsSection) parse(p value.Parser, also string) Fields {
	for name, v := range s.Set {
		if !strings.EqualFold(name, also) || v == "" {
			checkName(p, "set."+name, name)
		}
		checkValue(p, "set."+name, v)
	}
	for name, v := range s.Add {
		checkName(p, "add."+name, name)
		checkValue(p, "add."+name, v)
	}
	for i, name := range s.Remove {
		checkName(p, fmt.Sprintf("remove[%d]", i), name)
	}
	out := SetOrRemove(s.Set)
	out.Add = SetOrRemove(s.Add).Set
	out.Remove = append(out.Remove, s.Remove...)
	return out
}

// checkName tells of a name that is none, or not for middlewares.
func checkName(p value.Parser, key, name string) {
	if !httpguts.ValidHeaderFieldName(name) {
		p.Bad(key, fmt.Sprintf("%q is no name of a field", name))
	} else if Reserved(name) {
		p.Bad(key, name+" belongs to the connection or to the body's framing: it can be neither set nor removed")
	}
}

// checkValue tells of a value that cannot stand in a field line.
func checkValue(p value.Parser, key, v string) {
	if !httpguts.ValidHeaderFieldValue(v) || strings.TrimSpace(v) != v {
		p.Bad(key, fmt.Sprintf("%q is no value of a field: it holds control characters, or blanks at its ends", v))
	}
}
