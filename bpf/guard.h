/* Frames to a service that are left to the stack, or not wanted. */
#pragma once

#include "clock.h"
#include "packet.h"
#include "tunables.h"

/* fenced tells whether the director is silent for too long. This clock may be
 * a tick behind the director's. */
static __always_inline bool fenced(const struct fence *f, __u64 now)
{
	return !f->limit_ns || (__s64)(now - f->beat_ns) > (__s64)f->limit_ns;
}

/* own_mac returns the MAC address of one of our interfaces, else NULL. */
static __always_inline struct mac *own_mac(__u32 index)
{
	struct mac *own = bpf_map_lookup_elem(&interfaces, &index);

	return own && (own->word[0] | own->word[1] | own->word[2]) ? own : NULL;
}

/* ours tells whether the frame is addressed to this node: a switch that floods
 * and a promiscuous interface show it those of others. */
static __always_inline bool ours(struct xdp_md *ctx, struct packet *p)
{
	p->own = own_mac(ctx->ingress_ifindex);
	return p->own && same_mac(p->eth->dst, p->own);
}

/* from_peer tells whether another director sent the frame. It has decided,
 * and must find this node's stack: each would send to the other for ever. Most
 * frames come from one router, about which a second's memory is enough. */
static __always_inline bool from_peer(const struct packet *p, struct cpu *cpu)
{
	struct mac src = { .word = { p->eth->src[0], p->eth->src[1], p->eth->src[2] } };

	if (same_mac(p->eth->src, &cpu->router) && cpu->now_ns - cpu->router_ns < SECOND)
		return false;
	if (bpf_map_lookup_elem(&peers, &src))
		return true;
	cpu->router = src;
	cpu->router_ns = cpu->now_ns;
	return false;
}

/* is_denied looks the sender up in the deny list. */
static __always_inline bool is_denied(const struct packet *p, __u64 now)
{
	struct denied_key key = { .prefix = 128, .addr = p->src };
	struct denied *d = bpf_map_lookup_elem(&denied, &key);

	if (!d || (d->until_ns && (__s64)(now - d->until_ns) >= 0))
		return false;
	__sync_fetch_and_add(&d->packets, 1);
	return true;
}

/* too_fast takes one SYN from the allowance of its source. The stored number
 * is when the next would be due at the even rate; a source may run ahead of
 * that by the burst. Two CPUs may read the same number: a SYN more. */
static __always_inline bool too_fast(const struct packet *p, __u64 now)
{
	struct address source = p->src;
	__u64 *due, first = now + syn_interval_ns;

	if (p->ip6)
		source.word[2] = source.word[3] = 0; /* a /64 is one host's to choose from */
	due = bpf_map_lookup_elem(&syns, &source);
	if (!due) {
		bpf_map_update_elem(&syns, &source, &first, BPF_ANY);
		return false;
	}
	if ((__s64)(*due - now) > (__s64)syn_burst_ns)
		return true;
	*due = ((__s64)(*due - now) > 0 ? *due : now) + syn_interval_ns;
	return false;
}

/* guard lets through what this node may balance. */
static __always_inline enum verdict guard(struct xdp_md *ctx, struct packet *p, struct cpu *cpu)
{
	__u32 zero = 0;
	struct fence *f = bpf_map_lookup_elem(&fence, &zero);

	if (!f || fenced(f, cpu->now_ns))
		return PASS_FENCED;
	if (!ours(ctx, p))
		return PASS_NOT_OURS;
	if (from_peer(p, cpu))
		return PASS_PEER;
	if (f->denying && is_denied(p, cpu->now_ns))
		return DROP_DENIED;
	return UNDECIDED;
}
