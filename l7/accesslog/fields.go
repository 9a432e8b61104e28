package accesslog

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A column is one field of a JSON line.
type column struct {
	name string
	// value appends the field's value, or nothing where the request has none.
	value func(e *encoder, dst []byte, r *Record) []byte
}

// Names are those of the fields that lines of JSON may have.
func Names() []string {
	var names []string
	for _, c := range columns() {
		names = append(names, c.name)
	}
	return names
}

// columns are all fields: those of Traefik 1.7, then those that its version 3
// or we have added. Durations are in nanoseconds.
func columns() []column {
	return []column{
		{"StartUTC", func(e *encoder, dst []byte, r *Record) []byte { return quoted(dst, e.utc.appendTime, r.Start) }},
		{"StartLocal", func(e *encoder, dst []byte, r *Record) []byte { return quoted(dst, e.local.appendTime, r.Start) }},
		{"Duration", func(_ *encoder, dst []byte, r *Record) []byte { return strconv.AppendInt(dst, int64(r.Duration), 10) }},
		{"FrontendName", func(e *encoder, dst []byte, r *Record) []byte {
			if r.Route == nil {
				return dst
			}
			return e.quoted(dst, r.Route.Host, r.Route.Path)
		}},
		{"BackendName", func(e *encoder, dst []byte, r *Record) []byte {
			if r.Backend.Service == "" {
				return dst
			}
			return e.quoted(dst, r.Backend.Namespace, "/", r.Backend.Service, ":", r.Backend.Port)
		}},
		{"BackendURL", func(_ *encoder, dst []byte, r *Record) []byte {
			if !r.Endpoint.IsValid() {
				return dst
			}
			return append(r.appendBackendURL(append(dst, '"')), '"')
		}},
		{"BackendAddr", func(_ *encoder, dst []byte, r *Record) []byte { return appendAddrPort(dst, r.Endpoint) }},
		{"ClientAddr", func(_ *encoder, dst []byte, r *Record) []byte { return appendAddrPort(dst, r.Peer) }},
		{"ClientHost", func(_ *encoder, dst []byte, r *Record) []byte {
			return append(r.client().AppendTo(append(dst, '"')), '"')
		}},
		{"ClientPort", func(_ *encoder, dst []byte, r *Record) []byte {
			if r.client() != r.Peer.Addr() {
				return append(dst, `"-"`...)
			}
			return append(strconv.AppendUint(append(dst, '"'), uint64(r.Peer.Port()), 10), '"')
		}},
		{"ClientUsername", func(_ *encoder, dst []byte, r *Record) []byte { return appendQuoted(dst, cmp.Or(r.User, "-")) }},
		{"RequestAddr", func(_ *encoder, dst []byte, r *Record) []byte { return appendQuoted(dst, r.Host) }},
		{"RequestHost", func(_ *encoder, dst []byte, r *Record) []byte {
			host, _ := splitHost(r.Host)
			return appendQuoted(dst, host)
		}},
		{"RequestPort", func(_ *encoder, dst []byte, r *Record) []byte {
			_, port := splitHost(r.Host)
			if len(port) == 0 {
				return append(dst, `"-"`...)
			}
			return appendQuoted(dst, port)
		}},
		{"RequestMethod", func(_ *encoder, dst []byte, r *Record) []byte { return appendQuoted(dst, r.Method) }},
		{"RequestPath", func(e *encoder, dst []byte, r *Record) []byte { return e.quotedPath(dst, r) }},
		{"RequestProtocol", func(_ *encoder, dst []byte, r *Record) []byte { return appendQuoted(dst, r.Protocol) }},
		{"RequestLine", func(e *encoder, dst []byte, r *Record) []byte {
			return appendQuoted(dst, r.requestLine(e))
		}},
		{"RequestContentSize", func(_ *encoder, dst []byte, r *Record) []byte { return strconv.AppendInt(dst, r.RequestSize, 10) }},
		{"OriginDuration", func(_ *encoder, dst []byte, r *Record) []byte {
			return strconv.AppendInt(dst, int64(r.Origin), 10)
		}},
		{"OriginContentSize", func(_ *encoder, dst []byte, r *Record) []byte {
			return strconv.AppendInt(dst, r.OriginSize, 10)
		}},
		{"OriginStatus", func(_ *encoder, dst []byte, r *Record) []byte {
			return strconv.AppendInt(dst, int64(r.OriginStatus), 10)
		}},
		{"OriginStatusLine", func(_ *encoder, dst []byte, r *Record) []byte { return appendStatusLine(dst, r.OriginStatus) }},
		{"DownstreamStatus", func(_ *encoder, dst []byte, r *Record) []byte { return strconv.AppendInt(dst, int64(r.status()), 10) }},
		{"DownstreamStatusLine", func(_ *encoder, dst []byte, r *Record) []byte { return appendStatusLine(dst, r.status()) }},
		{"DownstreamContentSize", func(_ *encoder, dst []byte, r *Record) []byte { return strconv.AppendInt(dst, r.Size, 10) }},
		{"RequestCount", func(e *encoder, dst []byte, _ *Record) []byte { return strconv.AppendUint(dst, e.count, 10) }},
		{"GzipRatio", func(_ *encoder, dst []byte, r *Record) []byte {
			if r.Size == 0 || r.OriginSize <= r.Size {
				return dst
			}
			return strconv.AppendFloat(dst, float64(r.OriginSize)/float64(r.Size), 'f', 3, 64)
		}},
		{"Overhead", func(_ *encoder, dst []byte, r *Record) []byte {
			return strconv.AppendInt(dst, int64(r.Duration-r.Origin), 10)
		}},
		{"RetryAttempts", func(_ *encoder, dst []byte, r *Record) []byte { return strconv.AppendInt(dst, int64(r.Retries), 10) }},

		{"entryPointName", func(_ *encoder, dst []byte, r *Record) []byte { return appendQuoted(dst, r.Entrypoint) }},
		{"RequestScheme", func(_ *encoder, dst []byte, r *Record) []byte { return text(dst, r.Scheme) }},
		{"TLSVersion", func(_ *encoder, dst []byte, r *Record) []byte {
			return text(dst, strings.TrimPrefix(tlsVersion(r.TLSVersion), "TLS "))
		}},
		{"TLSCipher", func(e *encoder, dst []byte, r *Record) []byte { return text(dst, e.cipher(r.TLSCipher)) }},
		{"KubernetesIngressNamespace", func(_ *encoder, dst []byte, r *Record) []byte {
			if r.Route == nil {
				return dst
			}
			return text(dst, r.Route.Origin.Namespace)
		}},
		{"KubernetesIngressName", func(_ *encoder, dst []byte, r *Record) []byte {
			if r.Route == nil {
				return dst
			}
			return text(dst, r.Route.Origin.Name)
		}},
		{"KubernetesServiceName", func(_ *encoder, dst []byte, r *Record) []byte { return text(dst, r.Backend.Service) }},
		{"KubernetesServicePort", func(_ *encoder, dst []byte, r *Record) []byte { return text(dst, r.Backend.Port) }},
		{"OriginHeadDuration", func(_ *encoder, dst []byte, r *Record) []byte {
			return strconv.AppendInt(dst, int64(r.OriginHead), 10)
		}},
		{"Reason", func(_ *encoder, dst []byte, r *Record) []byte { return text(dst, r.Reason) }},
		{"Broken", func(_ *encoder, dst []byte, r *Record) []byte { return yes(dst, r.Broken) }},
		{"Tunnel", func(_ *encoder, dst []byte, r *Record) []byte { return yes(dst, r.Tunnel) }},
		{"GRPCStatus", func(_ *encoder, dst []byte, r *Record) []byte {
			if r.GRPCStatus == nil {
				return dst
			}
			return appendQuoted(dst, r.GRPCStatus)
		}},
		{"TraceId", func(_ *encoder, dst []byte, r *Record) []byte {
			if !r.Trace.Valid() {
				return dst
			}
			return append(hex.AppendEncode(append(dst, '"'), r.Trace.ID[:]), '"')
		}},
		{"SpanId", func(_ *encoder, dst []byte, r *Record) []byte {
			if !r.Trace.Valid() {
				return dst
			}
			return append(hex.AppendEncode(append(dst, '"'), r.Trace.Span[:]), '"')
		}},
	}
}

// text appends a string that may be absent.
func text(dst []byte, s string) []byte {
	if s == "" {
		return dst
	}
	return appendQuoted(dst, s)
}

func yes(dst []byte, is bool) []byte {
	if !is {
		return dst
	}
	return append(dst, "true"...)
}

func quoted(dst []byte, write func([]byte, time.Time) []byte, t time.Time) []byte {
	return append(write(append(dst, '"'), t), '"')
}

func appendAddrPort(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	return append(a.AppendTo(append(dst, '"')), '"')
}

func appendStatusLine(dst []byte, status int) []byte {
	if status == 0 {
		return dst
	}
	dst = append(strconv.AppendInt(append(dst, '"'), int64(status), 10), ' ')
	return append(append(dst, statusText(status)...), '"')
}

func statusText(status int) string {
	if status == statusGone {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

func tlsVersion(v uint16) string {
	if v == 0 {
		return ""
	}
	return tls.VersionName(v)
}

// cipher returns the name of a cipher suite. The library goes through its list
// for each; clients of one node agree on few.
func (e *encoder) cipher(suite uint16) string {
	if suite != e.suite {
		e.suite, e.suiteName = suite, tls.CipherSuiteName(suite)
	}
	return e.suiteName
}

// statusGone is written for a client that left before it got a response, as
// nginx and Traefik have it.
const statusGone = 499

// status is what the client got.
func (r *Record) status() int {
	if r.Status == 0 {
		return statusGone
	}
	return r.Status
}

// client is who asks.
func (r *Record) client() netip.Addr {
	if r.Client.IsValid() {
		return r.Client
	}
	return r.Peer.Addr()
}

// appendBackendURL appends the endpoint as a URL.
func (r *Record) appendBackendURL(dst []byte) []byte {
	scheme := "http://"
	if r.OriginProtocol.TLS() {
		scheme = "https://"
	}
	return r.Endpoint.AppendTo(append(dst, scheme...))
}

// requestLine is the first line of the request, valid until e is asked for
// another string.
func (r *Record) requestLine(e *encoder) []byte {
	if len(r.Method) == 0 {
		return nil
	}
	s := append(append(e.scratch[:0], r.Method...), ' ')
	s = append(e.queries.Append(append(s, r.Path...), r.Query), ' ')
	e.scratch = append(s, r.Protocol...)
	return e.scratch
}

// splitHost splits an authority into host and port.
func splitHost(authority []byte) (host, port []byte) {
	i := bytes.LastIndexByte(authority, ':')
	if i < 0 || bytes.IndexByte(authority[i:], ']') >= 0 {
		return authority, nil
	}
	return authority[:i], authority[i+1:]
}
