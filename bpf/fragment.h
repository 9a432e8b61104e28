/* Fragments: only the first has ports, and the others follow it. One that
 * comes before its first passes, and IPVS, which gathers them all, is left with
 * a part: the datagram is lost, as with any part that is. */
#pragma once

#include "packet.h"

/* How long later fragments are expected, in nanoseconds (net.ipv4.ipfrag_time). */
#define FRAGMENT_AGE 30000000000ULL

static __always_inline struct fragment_key fragment_key(const struct packet *p)
{
	return (struct fragment_key){ .src = p->src, .dst = p->dst, .id = p->id, .protocol = p->ip6 ? 0 : p->protocol };
}

/* lead notes where the first fragment goes. */
static __always_inline void lead(const struct packet *p, __u32 service, __u32 id, __u64 now)
{
	struct fragment_key key = fragment_key(p);
	struct backend *b = get_backend(id);
	struct fragment f = { .service = service, .backend = id, .seen_ns = now };

	if (!b)
		return;
	f.generation = b->generation;
	bpf_map_update_elem(&fragments, &key, &f, BPF_ANY);
}

/* unlead forgets a datagram of the same identity: the first fragment passes,
 * and so must the others. */
static __always_inline void unlead(const struct packet *p)
{
	struct fragment_key key = fragment_key(p);

	bpf_map_delete_elem(&fragments, &key);
}

/* follow finds where the first fragment went. */
static __always_inline struct fragment *follow(const struct packet *p, __u64 now)
{
	struct fragment_key key = fragment_key(p);
	struct fragment *f = bpf_map_lookup_elem(&fragments, &key);
	struct backend *b;

	if (!f || (__s64)(now - f->seen_ns) > (__s64)FRAGMENT_AGE)
		return NULL;
	b = get_backend(f->backend);
	return b && b->generation == f->generation ? f : NULL;
}
