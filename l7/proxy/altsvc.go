package proxy

import "bytes"

// Where HTTP/3 is spoken beside an entrypoint, responses over TCP say so
// (RFC 7838), for as long as altSvcAge says.
const (
	altSvcName = "Alt-Svc: "
	altSvcAge  = "86400" // seconds
	// altSvcDefault is the line of the port that clients leave out.
	altSvcDefault = altSvcName + `h3=":443"; ma=` + altSvcAge + "\r\n"
	altSvcMost    = len(altSvcName) + len(`h3=":65535"; ma=`+altSvcAge+"\r\n")
)

// altSvcLine is the field line for clients that reach us at a port.
func altSvcLine(port []byte) string {
	return altSvcName + `h3=":` + string(port) + `"; ma=` + altSvcAge + "\r\n"
}

// altSvc returns the line for the client of a request for host, "" where there
// is none.
func (c *client) altSvc(host []byte) string {
	if !c.s.entry.HTTP3 {
		return ""
	}
	port := c.port(host)
	switch {
	case string(port) == "443":
		return altSvcDefault
	case len(port) > 5:
		return "" // host is in order, but this is no port
	}
	return altSvcLine(port)
}

// lineField is a line as a field.
func lineField(line string) field {
	name, value, _ := bytes.Cut([]byte(line), []byte(": "))
	return field{Name: name, Value: bytes.TrimSuffix(value, []byte("\r\n"))}
}
