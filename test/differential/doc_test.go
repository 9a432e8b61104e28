// Package differential sends malformed and smuggling requests to portico and to
// six other servers, each in front of an origin that tells how the request was
// understood. What portico forwards, all of them must read alike: whoever stands
// behind it is one of them, or like one of them.
package differential
