/* The extension headers of IPv6 (RFC 8200, section 4). */
#pragma once

#include "packet.h"

#define IPPROTO_HOPOPTS 0
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_AH 51
#define IPPROTO_DSTOPTS 60

/* Extension headers before the program gives up; real packets have two. */
#define MAX_EXTENSIONS 6

struct extension {
	__u8 next;
	__u8 length;   /* see extension_bytes */
	__u8 type;     /* routing header only */
	__u8 segments; /* routing header only: stations still to visit */
	__u32 rest;
};

struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset; /* 13 bits in units of 8 bytes, 2 reserved, more */
	__be32 id;
};

#define IP6_MORE 0x0001
#define IP6_OFFSET 0xfff8

/* struct chain is what a walk along the headers knows. */
struct chain {
	__u32 at;   /* as in struct cursor */
	__u32 left; /* as in struct cursor */
	__u32 id;   /* of the fragment */
	enum fragment_part part;
	__u32 protocol; /* of the next header */
};

static __always_inline bool is_extension(__u32 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_AH || protocol == IPPROTO_FRAGMENT;
}

/* extension_bytes is how much of an extension header follows its first 8
 * bytes (RFC 8200, section 4; RFC 4302, section 2.2). */
static __always_inline __u32 extension_bytes(__u32 protocol, __u8 length)
{
	if (protocol == IPPROTO_FRAGMENT)
		return 0;
	return (__u32)length * (protocol == IPPROTO_AH ? 4 : 8);
}

/* walk_extensions moves along the headers to the first that is none of them.
 * A function of its own for the verifier: it checks the walk once, instead of
 * once for each way through the program. */
__attribute__((noinline)) int walk_extensions(struct xdp_md *ctx, struct chain *chain)
{
	struct cursor c;

	if (!chain || chain->at > MAX_AT)
		return PASS_MALFORMED;
	c = cursor_at(ctx, chain->at, chain->left);
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		__u32 protocol = chain->protocol;
		struct extension *e;

		if (!is_extension(protocol))
			break;
		e = pull(&c, sizeof(*e));
		if (!e)
			return PASS_MALFORMED;
		chain->protocol = e->next;
		if (protocol == IPPROTO_FRAGMENT) {
			struct fragment_header *f = (void *)e;
			__u16 offset = ntohs(f->offset);

			chain->part = fragment_part(offset & IP6_OFFSET, offset & IP6_MORE);
			chain->id = f->id;
			if (chain->part == LATER)
				return UNDECIDED; /* what follows is no header */
		}
		/* Not its last station: where it goes is for the stack to say. */
		if (protocol == IPPROTO_ROUTING && e->segments)
			return PASS_OTHER;
		if (!pull(&c, extension_bytes(protocol, e->length)))
			return PASS_MALFORMED;
	}
	chain->at = c.at;
	chain->left = c.left;
	return is_extension(chain->protocol) ? PASS_OTHER : UNDECIDED;
}

static __always_inline enum verdict parse_extensions(struct xdp_md *ctx, struct cursor *c, struct packet *p)
{
	struct chain chain = { c->at, c->left, 0, WHOLE, p->protocol };
	enum verdict v = walk_extensions(ctx, &chain);

	if (v != UNDECIDED)
		return v;
	if (chain.at > MAX_AT)
		return PASS_OTHER;
	c->at = chain.at;
	c->left = chain.left;
	p->protocol = chain.protocol;
	p->part = chain.part;
	p->id = chain.id;
	return UNDECIDED;
}
