/* Reading a packet from front to back. */
#pragma once

#include "kernel.h"

struct cursor {
	void *data;
	void *end;  /* of the frame */
	__u32 at;   /* bytes read */
	__u32 left; /* bytes that the IP header grants; what follows is padding */
};

/* No packet has more headers than this; the verifier wants to know. */
#define MAX_AT 4096

static __always_inline struct cursor cursor_at(struct xdp_md *ctx, __u32 at, __u32 left)
{
	return (struct cursor){ (void *)(long)ctx->data, (void *)(long)ctx->data_end, at, left };
}

/* pull returns the next n bytes and steps over them, or NULL if the packet is
 * shorter. No other function compares against the end. */
static __always_inline void *pull(struct cursor *c, __u32 n)
{
	void *p = c->data + c->at;

	if (n > c->left || p + n > c->end)
		return NULL;
	c->at += n;
	c->left -= n;
	return p;
}

/* limit says that n bytes of the packet are left, and tells whether the frame
 * holds them: the headers are in its first part, the rest of a jumbo frame may
 * be in others. */
static __always_inline bool limit(struct xdp_md *ctx, struct cursor *c, __u32 n)
{
	c->left = n;
	return c->at + n <= bpf_xdp_get_buff_len(ctx);
}
