/* A TCP segment as the programs of SYN cookies read it: copied, so that XDP and
 * tc share what follows. Frames with a VLAN tag, IPv4 options, extension headers
 * and fragments are left to the kernel. */
#pragma once

#include "borrowed.h"
#include "listeners.h"
#include "transport.h"

#define ETHER_BYTES 14
#define MOST_OPTIONS 40 /* bytes; the header's length has 4 bits */

/* Kinds of options (RFC 9293, section 3.1; RFC 7323; RFC 2018). */
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2
#define OPTION_WSCALE 3
#define OPTION_SACK 4
#define OPTION_TIMESTAMPS 8

#define NO_WSCALE 15 /* shifts go to 14 */

struct segment {
	struct ip4 ip4; /* one of both */
	struct ip6 ip6;
	bool is6;
	struct tcp tcp;
	__u8 options[MOST_OPTIONS + 16]; /* behind tcp, as in the frame, and room to read beyond */
	__u32 length;			 /* of the options */

	/* What the options say. */
	__u32 at;
	bool malformed;
	bool sack;
	bool timestamps;
	__u8 wscale; /* NO_WSCALE: none */
	__u16 mss;   /* 0: none */
	__be32 tsval, tsecr;
};

static __always_inline long load(void *ctx, bool xdp, __u32 at, void *to, __u32 bytes)
{
	return xdp ? bpf_xdp_load_bytes(ctx, at, to, bytes) : bpf_skb_load_bytes(ctx, at, to, bytes);
}

static __always_inline __u32 word(const __u8 *b)
{
	return b[0] | (__u32)b[1] << 8 | (__u32)b[2] << 16 | (__u32)b[3] << 24;
}

/* next_option reads one option and returns 1 behind the last. */
static long next_option(__attribute__((unused)) __u32 i, struct segment *s)
{
	__u32 at = s->at, length;
	const __u8 *o;

	if (at >= s->length || at >= MOST_OPTIONS)
		return 1;
	o = s->options + at;
	if (o[0] == OPTION_END)
		return 1;
	if (o[0] == OPTION_NOP) {
		s->at = at + 1;
		return 0;
	}
	length = o[1];
	s->at = at + length;
	if (length < 2 || at + length > s->length)
		goto malformed;
	switch (o[0]) {
	case OPTION_MSS:
		if (length != 4)
			goto malformed;
		s->mss = o[2] << 8 | o[3];
		break;
	case OPTION_WSCALE:
		if (length != 3)
			goto malformed;
		s->wscale = o[2] > 14 ? 14 : o[2];
		break;
	case OPTION_SACK:
		if (length != 2)
			goto malformed;
		s->sack = true;
		break;
	case OPTION_TIMESTAMPS:
		if (length != 10)
			goto malformed;
		s->timestamps = true;
		s->tsval = word(o + 2);
		s->tsecr = word(o + 6);
		break;
	}
	return 0;
malformed:
	s->malformed = true;
	return 1;
}

/* read_ip reads the IP header, and returns where the segment begins and how
 * long it is; 0 for what is none. */
static __always_inline __u32 read_ip(void *ctx, bool xdp, __be16 type, struct segment *s, __u32 *bytes)
{
	__u32 total;

	if (type == htons(ETH_P_IP)) {
		if (load(ctx, xdp, ETHER_BYTES, &s->ip4, sizeof(s->ip4)))
			return 0;
		total = ntohs(s->ip4.total);
		if (s->ip4.version_ihl != 0x45 || s->ip4.protocol != IPPROTO_TCP ||
		    ntohs(s->ip4.offset) & (IP4_MORE | IP4_OFFSET) || total < sizeof(s->ip4))
			return 0;
		*bytes = total - sizeof(s->ip4);
		return ETHER_BYTES + sizeof(s->ip4);
	}
	if (type != htons(ETH_P_IPV6) || load(ctx, xdp, ETHER_BYTES, &s->ip6, sizeof(s->ip6)))
		return 0;
	if (ntohl(s->ip6.version_class_label) >> 28 != 6 || s->ip6.next != IPPROTO_TCP)
		return 0;
	s->is6 = true;
	*bytes = ntohs(s->ip6.payload);
	return ETHER_BYTES + sizeof(s->ip6);
}

/* read_tcp reads the TCP header. */
static __always_inline bool read_tcp(void *ctx, bool xdp, __be16 type, struct segment *s)
{
	__u32 bytes = 0, at = read_ip(ctx, xdp, type, s, &bytes), header;

	if (!at || load(ctx, xdp, at, &s->tcp, sizeof(s->tcp)))
		return false;
	header = (s->tcp.offset >> 4) * 4;
	if (header < sizeof(s->tcp) || header > bytes)
		return false;
	s->length = header - sizeof(s->tcp);
	return true;
}

/* read_options reads the options behind it. */
static __always_inline bool read_options(void *ctx, bool xdp, struct segment *s)
{
	__u32 at = ETHER_BYTES + (s->is6 ? sizeof(s->ip6) : sizeof(s->ip4)) + sizeof(s->tcp);
	__u32 last = s->length - 1;

	s->wscale = NO_WSCALE;
	if (!s->length)
		return true;
	/* Verifiers before Linux 6.8 learn nothing from "not 0": they shall see a
	 * number that is one more than another. */
	asm volatile("" : "+r"(last));
	if (last >= MOST_OPTIONS || load(ctx, xdp, at, s->options, last + 1))
		return false;
	bpf_loop(MOST_OPTIONS, next_option, s, 0);
	return !s->malformed;
}

static __always_inline struct service_key port_of(const struct segment *s)
{
	struct service_key key = { .addr = s->ip6.dst, .port = s->tcp.ports.dst, .protocol = IPPROTO_TCP };

	if (!s->is6)
		key.addr = mapped(s->ip4.dst);
	return key;
}

/* find_socket returns the socket that the kernel would give the segment to, to
 * be released; the connection's own, or else the port's. */
static __always_inline struct bpf_sock *find_socket(void *ctx, const struct segment *s)
{
	struct tuple4 t4 = { s->ip4.src, s->ip4.dst, s->tcp.ports.src, s->tcp.ports.dst };
	struct tuple6 t6 = { s->ip6.src, s->ip6.dst, s->tcp.ports.src, s->tcp.ports.dst };

	return s->is6 ? bpf_skc_lookup_tcp(ctx, &t6, sizeof(t6), BPF_F_CURRENT_NETNS, 0) :
			bpf_skc_lookup_tcp(ctx, &t4, sizeof(t4), BPF_F_CURRENT_NETNS, 0);
}
