package kube

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A snapshot is what an API server said last and what of it is needed to serve,
// in a form that outlives a boot.
//
// On disk it is a line that says so, the SHA-256 of the rest, and the rest:
// gzip over blocks that each follow their length. The first blocks are the
// addresses of the API server, an empty one ends them; the others are lists of
// objects in the protobuf encoding of Kubernetes, a kind each.
type snapshot struct {
	// servers are the addresses that the cluster's API server has. What one
	// cluster said must not be served for another.
	servers []string
	objects Objects
}

const snapshotMagic = "portico snapshot 1\n"

// A protobuf is a list of objects that knows its encoding.
type protobuf interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// encode returns the bytes of a file.
func (s snapshot) encode() ([]byte, error) {
	var body bytes.Buffer
	z, err := gzip.NewWriterLevel(&body, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	for _, server := range append(slices.Clone(s.servers), "") {
		writeBlock(z, []byte(server))
	}
	o := s.objects
	for _, list := range []protobuf{
		&netv1.IngressList{Items: values(o.Ingresses)},
		&netv1.IngressClassList{Items: values(o.Classes)},
		&corev1.ServiceList{Items: values(o.Services)},
		&discoveryv1.EndpointSliceList{Items: values(o.Slices)},
		&corev1.SecretList{Items: values(o.Secrets)},
	} {
		block, err := list.Marshal()
		if err != nil {
			return nil, err
		}
		writeBlock(z, block)
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body.Bytes())
	return slices.Concat([]byte(snapshotMagic), sum[:], body.Bytes()), nil
}

// writeBlock writes to memory, which takes everything.
func writeBlock(w io.Writer, b []byte) {
	_, _ = w.Write(binary.AppendUvarint(nil, uint64(len(b))))
	_, _ = w.Write(b)
}

// parseSnapshot reads what encode has made. A file that is not whole is none:
// half of the routes would be worse than the memory of a neighbour.
func parseSnapshot(b []byte) (snapshot, error) {
	rest, ok := bytes.CutPrefix(b, []byte(snapshotMagic))
	if !ok {
		return snapshot{}, errors.New("written by another version of portico")
	}
	if len(rest) < sha256.Size {
		return snapshot{}, io.ErrUnexpectedEOF
	}
	sum, body := rest[:sha256.Size], rest[sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return snapshot{}, errors.New("damaged: its checksum differs")
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return snapshot{}, err
	}
	content, err := io.ReadAll(z)
	if err != nil {
		return snapshot{}, err
	}
	return parseBlocks(content)
}

func parseBlocks(b []byte) (s snapshot, err error) {
	next := func() (block []byte) {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			err = errors.Join(err, io.ErrUnexpectedEOF)
			return nil
		}
		block, b = b[used:used+int(n)], b[used+int(n):]
		return block
	}
	for server := next(); len(server) > 0; server = next() {
		s.servers = append(s.servers, string(server))
	}
	var (
		ingresses netv1.IngressList
		classes   netv1.IngressClassList
		services  corev1.ServiceList
		endpoints discoveryv1.EndpointSliceList
		secrets   corev1.SecretList
	)
	for _, list := range []protobuf{&ingresses, &classes, &services, &endpoints, &secrets} {
		if block := next(); err == nil {
			err = list.Unmarshal(block)
		}
		if err != nil {
			return snapshot{}, fmt.Errorf("%T: %w", list, err)
		}
	}
	s.objects = Objects{
		Ingresses: pointers(ingresses.Items),
		Classes:   pointers(classes.Items),
		Services:  pointers(services.Items),
		Slices:    pointers(endpoints.Items),
		Secrets:   pointers(secrets.Items),
	}
	return s, nil
}

func values[T any](all []*T) []T {
	out := make([]T, len(all))
	for i, o := range all {
		out[i] = *o
	}
	return out
}

// pointers copies, so that one object which stays does not keep all the others.
func pointers[T any](all []T) []*T {
	var out []*T
	for _, o := range all {
		out = append(out, &o)
	}
	return out
}

// of reports whether s was read at one of the servers.
func (s snapshot) of(servers []string) bool {
	return slices.ContainsFunc(s.servers, func(u string) bool { return slices.Contains(servers, u) })
}

// bare leaves of an object's metadata what counts for what it says, and what
// tells its versions apart.
func bare(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:              m.Name,
		Namespace:         m.Namespace,
		UID:               m.UID,
		ResourceVersion:   m.ResourceVersion,
		Generation:        m.Generation,
		CreationTimestamp: m.CreationTimestamp,
		Labels:            m.Labels,
		Annotations:       m.Annotations,
	}
}
