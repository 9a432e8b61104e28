/* What may become of a frame: one value for each reason. */
#pragma once

#include "kernel.h"

/* A frame has exactly one verdict, which is counted. PASS hands it unchanged
 * to the kernel's stack, where IPVS holds the same services. */
enum verdict {
	UNDECIDED,       /* no verdict yet; never counted */
	PASS_OTHER,      /* neither IPv4 nor IPv6; or neither TCP, UDP nor an ICMP error */
	PASS_MALFORMED,  /* ends before its headers do, or its headers contradict each other */
	PASS_NO_SERVICE, /* no service of ours */
	PASS_FENCED,     /* the director's heart does not beat */
	PASS_NOT_OURS,   /* for the MAC address of another host, or on a foreign interface */
	PASS_PEER,       /* balanced already, by another director */
	PASS_LOCAL,      /* this node is the backend */
	PASS_NO_BACKEND, /* the table has no backend for it: IPVS refuses it properly */
	PASS_FAR,        /* the fallback walk is long: IPVS walks to the end, and finds the same */
	PASS_UNRESOLVED, /* the backend's MAC address or interface is not known now */
	PASS_VLAN,       /* the backend is in another VLAN than the frame */
	PASS_FRAGMENT,   /* a later fragment of a datagram whose first was not seen */
	PASS_FTP_DATA,   /* from port 20, which IPVS never schedules */
	DROP_DENIED,     /* the source is on the deny list */
	DROP_SYN_RATE,   /* the source opens connections too fast */
	SEND,            /* to the backend, by the interface it came from */
	SEND_OTHER,      /* to the backend, by another interface */
	VERDICTS,        /* how many there are */
};

/* What else is worth knowing about a frame that is sent; counted apart, and
 * never on the way of a frame whose flow is known. */
enum event {
	FLOW_NEW,       /* written into the flow cache */
	FLOW_STALE,     /* its cached backend is gone, or it was idle for too long */
	FLOW_BYPASSED,  /* not written: more new flows than flood_rate */
	FLOW_FALLBACK,  /* its own row's backend takes nothing new, and another was found */
	FRAGMENT_KNOWN, /* a later fragment followed its first */
	ICMP_RELATED,   /* an ICMP error followed the flow that it is about */
	COOKIE_SENT,    /* a SYN that passed was answered with a cookie instead */
	COOKIE_NONE,    /* one was to be, and is the kernel's to answer: see reply() in cookie.bpf.c */
	COOKIE_GOOD,    /* a connection began by a cookie */
	COOKIE_BAD,     /* no cookie, in a segment of no connection */
	COOKIE_REFUSED, /* a good one that the port's socket did not take */
	EVENTS,         /* how many there are */
};
