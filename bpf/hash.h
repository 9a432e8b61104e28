/* The hash of IPVS's mh scheduler (net/netfilter/ipvs/ip_vs_mh.c), which on
 * 64-bit kernels is SipHash-1-3 cut to 32 bits (lib/siphash.c, hsiphash). Its
 * key is the same on every machine, and so is each decision. */
#pragma once

#include "packet.h"

/* Both words of the first of the scheduler's two keys; the second builds
 * tables only. */
#define MH_KEY 2654435761ULL

static __always_inline __u64 rotate(__u64 v, int bits)
{
	return v << bits | v >> (64 - bits);
}

struct sip {
	__u64 a, b, c, d;
};

static __always_inline void sip_round(struct sip *s)
{
	s->a += s->b;
	s->b = rotate(s->b, 13) ^ s->a;
	s->a = rotate(s->a, 32);
	s->c += s->d;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a += s->d;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c += s->b;
	s->b = rotate(s->b, 17) ^ s->c;
	s->c = rotate(s->c, 32);
}

/* sip_hash is SipHash-1-3 of the four bytes of v under MH_KEY. */
static __always_inline __u32 sip_hash(__u32 v)
{
	__u64 last = 4ULL << 56 | v;
	struct sip s = {
		0x736f6d6570736575ULL ^ MH_KEY,
		0x646f72616e646f6dULL ^ MH_KEY,
		0x6c7967656e657261ULL ^ MH_KEY,
		0x7465646279746573ULL ^ MH_KEY,
	};

	s.d ^= last;
	sip_round(&s);
	s.a ^= last;
	s.c ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}

/* mh_seed is the part of the hashed sum that a client brings along. */
static __always_inline __u32 mh_seed(const struct packet *p, bool port)
{
	__u32 folded = p->ip6 ? p->src.word[0] ^ p->src.word[1] ^ p->src.word[2] ^ p->src.word[3] : p->src.word[3];

	return ntohl(folded) + (port ? ntohs(p->sport) : 0);
}
