package metrics

import "github.com/portico-lb/portico/l4/xdp"

func (o out) xdp(s xdp.Status) {
	attached := o.gauge("portico_xdp_attached", "Whether the program runs on the interface: native, generic, or none.", "interface", "mode")
	for _, i := range s.Interfaces {
		mode := i.Mode
		if mode == "" {
			mode = "none"
		}
		attached.add(truth(i.Mode != ""), i.Name, mode)
	}
	o.gauge("portico_xdp_services", "Services that the program balances.").add(float64(s.Services))
	o.gauge("portico_xdp_backends", "Backends that it knows.").add(float64(s.Backends))
	o.gauge("portico_xdp_fault", "Whether its maps are not as wanted; it passes all to IPVS then.").add(truth(s.LastError != ""))
	if s.Cookies != nil {
		o.gauge("portico_xdp_cookies_fault", "Whether SYNs are not answered with cookies as they should be, or not for all ports.").add(truth(s.Cookies.Fault != "" || len(s.Cookies.Refusing) > 0))
	}
	frames := o.counter("portico_xdp_frames_total", "Frames, by what became of them.", "verdict")
	for verdict, n := range s.Verdicts {
		frames.add(float64(n), verdict)
	}
	events := o.counter("portico_xdp_events_total", "What else the program has seen.", "event")
	for event, n := range s.Events {
		events.add(float64(n), event)
	}
}
