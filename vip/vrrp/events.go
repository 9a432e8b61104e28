package vrrp

import (
	"net/netip"
	"time"
)

// An Event is a Start, Leave, Stop, Tick, Reconfigure, Promote, Yield or Advert.
type Event interface{ event() }

type (
	// Start leaves Initialize or Fault. Holding says that the addresses already
	// stand on the interface, left by a process that did not end well.
	Start struct{ Holding bool }
	// Leave enters Initialize, or Fault, but keeps the addresses up until
	// another router has them: make before break.
	Leave struct{ Fault bool }
	// Stop enters Initialize, or Fault, at once: the interface cannot be used.
	Stop struct{ Fault bool }
	// Tick says that time has passed.
	Tick struct{}
	// Reconfigure replaces the Config and disturbs no timer.
	Reconfigure struct{ Config Config }
	// Promote makes a Backup Active together with the other members of its
	// sync group.
	Promote struct{}
	// Yield makes an Active Backup, likewise.
	Yield struct{}
	// Advert is an accepted packet of another router.
	Advert struct {
		Src      netip.Addr
		Priority uint8
		Interval time.Duration
	}
)

func (Start) event()       {}
func (Leave) event()       {}
func (Stop) event()        {}
func (Tick) event()        {}
func (Reconfigure) event() {}
func (Promote) event()     {}
func (Yield) event()       {}
func (Advert) event()      {}

// Action is something the caller must do, in the order given.
type Action uint8

// The actions.
const (
	Advertise Action = iota // send an advertisement of the effective priority
	Resign                  // send an advertisement of priority 0
	Acquire                 // the machine became Active: put up the addresses and announce them
	Release                 // it holds the addresses no longer: take them down
	Announce                // announce the addresses again: someone else claimed them
)
