/* The answer to a SYN, written over it. */
#pragma once

#include "clock.h"
#include "guard.h"
#include "segment.h"

/* What the loader sets: see tunables.h. */

/* Time between two SYNs that a port takes, on average, before others are
 * answered with cookies. */
const volatile __u64 cookie_interval_ns = SECOND;

/* What the kernel would shift its windows by (tcp_select_initial_window). */
const volatile __u32 window_scale = 7;

/* Whether portico_admit reads what comes back. Where the kernel does, it reads
 * timestamps that are shifted by a secret. */
const volatile bool timestamps = true;
const volatile bool sack = true;
const volatile bool scaling = true;

/* The cookie in a timestamp: the lowest bits, as the kernel's own cookies have
 * them (net/ipv4/syncookies.c), and above these the class of the MSS. */
#define WSCALE_MASK 15
#define SACK_SHIFT 4
#define CLASS_SHIFT 6
#define CLASS_MASK 3
#define CLEAR_BITS 0xff

/* A cookie is good for two minutes at least, for three at most
 * (MAX_SYNCOOKIE_AGE). */
#define COOKIE_AGE (180 * SECOND)

/* What the answer offers before the kernel has a window: less than it then has. */
#define FIRST_WINDOW 32768

/* No frame of Ethernet is shorter, without its checksum. */
#define SHORTEST 60

#define HOPS 64
#define IP4_DONT 0x4000

/* class_mss is the kernel's table of what it rounds an MSS down to. */
static __always_inline __u16 class_mss(const struct segment *s, __u32 class)
{
	switch (class) {
	case 3:
		return s->is6 ? 9000 - 60 : 1460;
	case 2:
		return 1440;
	case 1:
		return s->is6 ? 1480 - 60 : 1300;
	default:
		return s->is6 ? 1280 - 60 : 536;
	}
}

static __always_inline __u16 least_mss(const struct segment *s)
{
	return class_mss(s, 0);
}

static __always_inline __u32 class_of(const struct segment *s)
{
	return s->mss >= class_mss(s, 3) ? 3 : s->mss >= class_mss(s, 2) ? 2 : s->mss >= class_mss(s, 1) ? 1 : 0;
}

/* struct way is how the answer gets to the client. */
struct way {
	__u16 to[3], from[3]; /* as the frame has them */
	__u32 ifindex;
	__u16 mtu;
};

/* is_host tells whether the sender's address may be a host's: what would not go
 * by the default route all the same, the routes tell. */
static __always_inline bool is_host(const struct segment *s)
{
	const struct address *a = &s->ip6.src;
	__u32 first = ntohl(s->ip4.src) >> 24;

	if (s->is6)
		return a->word[0] | a->word[1] | a->word[2] | a->word[3];
	return first && first < 224;
}

/* find_way asks the kernel's routes: the frame came from another director
 * perhaps, which would not send it on. */
static __always_inline bool find_way(struct xdp_md *ctx, const struct segment *s, struct way *w)
{
	struct bpf_fib_lookup fib = {
		.family = s->is6 ? AF_INET6 : AF_INET,
		.protocol = IPPROTO_TCP,
		.sport = s->tcp.ports.dst,
		.dport = s->tcp.ports.src,
		.bytes = sizeof(s->ip6) + sizeof(s->tcp),
		.ifindex = ctx->ingress_ifindex,
	};

	if (!is_host(s))
		return false;
	if (s->is6) {
		fib.src = s->ip6.dst;
		fib.dst = s->ip6.src;
	} else {
		fib.src.word[0] = s->ip4.dst;
		fib.dst.word[0] = s->ip4.src;
	}
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) || fib.vlan_protocol || !own_mac(fib.ifindex))
		return false;
	__builtin_memcpy(w->to, fib.dmac, sizeof(w->to));
	__builtin_memcpy(w->from, fib.smac, sizeof(w->from));
	w->ifindex = fib.ifindex;
	w->mtu = fib.bytes;
	return true;
}

static __always_inline __u16 fold(__s64 sum)
{
	__u32 n = sum;

	n = (n & 0xffff) + (n >> 16);
	n = (n & 0xffff) + (n >> 16);
	return ~n;
}

/* struct answer is the TCP header of the answer, with its options; those behind
 * mss are there for clients with timestamps. */
struct answer {
	struct tcp tcp;
	__be32 mss;
	__be32 sack_and_timestamps;
	__be32 tsval, tsecr;
	__be32 wscale;
};

/* fill returns its length. */
static __always_inline __u32 fill(struct answer *a, const struct segment *s, const struct way *w, __u32 cookie)
{
	__u32 mss = w->mtu - (s->is6 ? sizeof(s->ip6) : sizeof(s->ip4)) - sizeof(s->tcp);
	bool full = timestamps && s->timestamps, scaled = scaling && s->wscale != NO_WSCALE;
	__u32 bytes = full ? sizeof(*a) : sizeof(a->tcp) + sizeof(a->mss);

	a->tcp.ports.src = s->tcp.ports.dst;
	a->tcp.ports.dst = s->tcp.ports.src;
	a->tcp.seq = htonl(cookie);
	a->tcp.ack = htonl(ntohl(s->tcp.seq) + 1);
	a->tcp.offset = bytes / 4 << 4;
	a->tcp.flags = TCP_SYN | TCP_ACK;
	a->tcp.window = htons(FIRST_WINDOW);
	a->mss = htonl(OPTION_MSS << 24 | 4 << 16 | mss);
	if (full) {
		a->sack_and_timestamps = htonl((sack && s->sack ? OPTION_SACK << 24 | 2 << 16 : 0x01010000) | OPTION_TIMESTAMPS << 8 | 10);
		a->tsval = htonl(((__u32)(bpf_ktime_get_ns() / 1000000) & ~CLEAR_BITS) |
				 class_of(s) << CLASS_SHIFT | (sack && s->sack) << SACK_SHIFT | (scaled ? s->wscale : NO_WSCALE));
		a->tsecr = s->tsval;
		a->wscale = scaled ? htonl(OPTION_NOP << 24 | OPTION_WSCALE << 16 | 3 << 8 | window_scale) : htonl(0x01010101);
	}
	return bytes;
}

/* turn makes the IP header that of the answer, writes it, and returns the sum
 * of what TCP's checksum takes from it. */
static __always_inline __s64 turn4(struct xdp_md *ctx, struct ip4 *ip, __u32 bytes)
{
	struct { __be32 src, dst; __be32 protocol, bytes; } pseudo = { ip->dst, ip->src, htonl(IPPROTO_TCP), htonl(bytes) };

	*ip = (struct ip4){ .version_ihl = 0x45, .total = htons(sizeof(*ip) + bytes), .offset = htons(IP4_DONT),
			    .ttl = HOPS, .protocol = IPPROTO_TCP, .src = pseudo.src, .dst = pseudo.dst };
	ip->check = fold(bpf_csum_diff(NULL, 0, ip, sizeof(*ip), 0));
	bpf_xdp_store_bytes(ctx, ETHER_BYTES, ip, sizeof(*ip));
	return bpf_csum_diff(NULL, 0, &pseudo, sizeof(pseudo), 0);
}

static __always_inline __s64 turn6(struct xdp_md *ctx, struct ip6 *ip, __u32 bytes)
{
	struct { struct address src, dst; __be32 protocol, bytes; } pseudo = { ip->dst, ip->src, htonl(IPPROTO_TCP), htonl(bytes) };

	*ip = (struct ip6){ .version_class_label = htonl(6U << 28), .payload = htons(bytes), .next = IPPROTO_TCP,
			    .hops = HOPS, .src = pseudo.src, .dst = pseudo.dst };
	bpf_xdp_store_bytes(ctx, ETHER_BYTES, ip, sizeof(*ip));
	return bpf_csum_diff(NULL, 0, &pseudo, sizeof(pseudo), 0);
}

/* write_reply makes the frame the answer. It fails before it has written
 * anything, or not at all. */
static __always_inline bool write_reply(struct xdp_md *ctx, struct segment *s, const struct way *w, __u32 cookie)
{
	__u32 at = ETHER_BYTES + (s->is6 ? sizeof(s->ip6) : sizeof(s->ip4));
	struct answer a = {};
	__u32 bytes = fill(&a, s, w, cookie);
	int grow = (int)(at + bytes > SHORTEST ? at + bytes : SHORTEST) - (int)bpf_xdp_get_buff_len(ctx);
	__s64 sum;

	if (grow && bpf_xdp_adjust_tail(ctx, grow))
		return false;
	sum = s->is6 ? turn6(ctx, &s->ip6, bytes) : turn4(ctx, &s->ip4, bytes);
	a.tcp.check_urgent = fold(bpf_csum_diff(NULL, 0, &a, sizeof(a), sum));
	if (bytes == sizeof(a))
		bpf_xdp_store_bytes(ctx, at, &a, sizeof(a));
	else
		bpf_xdp_store_bytes(ctx, at, &a, sizeof(a.tcp) + sizeof(a.mss));
	bpf_xdp_store_bytes(ctx, 0, w, sizeof(w->to) + sizeof(w->from));
	return true;
}
