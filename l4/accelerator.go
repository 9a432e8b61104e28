package l4

// An Accelerator takes packets before the dataplane sees them, and sends each
// to the server that the dataplane would have chosen. The dataplane holds the
// same services all the while: what the accelerator cannot carry, or carries
// no more, falls through to it. None of its methods is called by two
// goroutines at once, but Carrier, which may be called at any time.
type Accelerator interface {
	// Count adds to what have counts what the accelerator has carried.
	Count(have *State)
	// Follow makes it carry what it can of the services of want, and nothing
	// else. Of want it may be told again and again. What is no fault of the
	// machine, such as a service that it cannot carry by its nature, is no
	// error: Carrier tells of it.
	Follow(want State) error
	// Carrier tells who carries the packets of a service.
	Carrier(k Key) Carrier
}

// A Carrier is what carries the packets of a service on this node.
type Carrier struct {
	// Dataplane is "xdp" or "ipvs".
	Dataplane string `json:"dataplane,omitempty"`
	// Mode is how an accelerator is attached: "native" or "generic".
	Mode string `json:"dataplane_mode,omitempty"`
	// Reason is why the service stays with the dataplane though it might have
	// been accelerated; empty where it is, or was not to be.
	Reason string `json:"dataplane_reason,omitempty"`
}
