/* Counters. Each CPU has its own, so that none is atomic. */
#pragma once

#include "packet.h"

static __always_inline void count_verdict(enum verdict v)
{
	__u64 *n = bpf_map_lookup_elem(&verdicts, &v);

	if (n)
		*n += 1;
}

static __always_inline void count_event(enum event e)
{
	__u64 *n = bpf_map_lookup_elem(&events, &e);

	if (n)
		*n += 1;
}

static __always_inline void count_in(void *map, __u32 id, const struct packet *p)
{
	struct counters *n = bpf_map_lookup_elem(map, &id);

	if (!n)
		return;
	n->packets += 1;
	n->bytes += p->bytes;
	n->flows += p->opens;
}

/* count_sent counts a packet for its service and its backend. */
static __always_inline void count_sent(const struct packet *p, __u32 service, __u32 backend)
{
	count_in(&service_counters, service, p);
	count_in(&backend_counters, backend, p);
}
