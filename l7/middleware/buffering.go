package middleware

// Buffering bounds bodies, and gathers those of requests.
type Buffering struct {
	// RequestMost is the longest body of a request in bytes; a longer one is
	// answered 413. 0 is no bound.
	RequestMost int64 `json:"request_most,omitempty"`
	// Whole has a request's body read to its end before an endpoint gets
	// anything of it: slow clients then do not keep endpoints busy, and any
	// request can be repeated at another one.
	Whole bool `json:"whole,omitempty"`
	// ResponseMost is the longest body of a response in bytes. One that says to
	// be longer is answered 500; one that turns out to be is cut. 0 is no bound.
	ResponseMost int64 `json:"response_most,omitempty"`
}

// Kind is its name in the configuration.
func (Buffering) Kind() string { return "buffering" }
