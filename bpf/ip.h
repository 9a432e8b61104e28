/* The IPv4 and IPv6 headers, on the outside of a packet or quoted in an ICMP
 * error. */
#pragma once

#include "extension.h"
#include "packet.h"

#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58

struct ip4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 total;
	__be16 id;
	__be16 offset; /* flags, then 13 bits in units of 8 bytes */
	__u8 ttl;
	__u8 protocol;
	__be16 check;
	__be32 src;
	__be32 dst;
};

#define IP4_MORE 0x2000
#define IP4_OFFSET 0x1fff

struct ip6 {
	__be32 version_class_label;
	__be16 payload;
	__u8 next;
	__u8 hops;
	struct address src;
	struct address dst;
};

static __always_inline struct address mapped(__be32 ip4)
{
	return (struct address){ { 0, 0, htonl(0xffff), ip4 } };
}

static __always_inline bool is_mapped(const struct address *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == htonl(0xffff);
}

static __always_inline bool same_address(const struct address *a, const struct address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] &&
	       a->word[2] == b->word[2] && a->word[3] == b->word[3];
}

/* parse_ip4 reads the header into p. A quoted packet is cut short, so that its
 * total length says nothing about what is there. */
static __always_inline enum verdict parse_ip4(struct xdp_md *ctx, struct cursor *c, struct packet *p, bool quoted)
{
	struct ip4 *ip = pull(c, sizeof(*ip));
	__u32 options, total;
	__u16 offset;

	if (!ip || ip->version_ihl >> 4 != 4 || (ip->version_ihl & 15) < 5)
		return PASS_MALFORMED;
	options = (ip->version_ihl & 15) * 4 - sizeof(*ip);
	total = ntohs(ip->total);
	if (!quoted && (total < sizeof(*ip) || !limit(ctx, c, total - sizeof(*ip))))
		return PASS_MALFORMED;
	if (!pull(c, options))
		return PASS_MALFORMED;

	offset = ntohs(ip->offset);
	p->src = mapped(ip->src);
	p->dst = mapped(ip->dst);
	p->protocol = ip->protocol;
	p->bytes = total;
	p->part = fragment_part(offset & IP4_OFFSET, offset & IP4_MORE);
	p->id = ip->id;
	return UNDECIDED;
}

static __always_inline enum verdict parse_ip6(struct xdp_md *ctx, struct cursor *c, struct packet *p, bool quoted)
{
	struct ip6 *ip = pull(c, sizeof(*ip));

	if (!ip || (ntohl(ip->version_class_label) >> 28) != 6)
		return PASS_MALFORMED;
	if (!quoted && !limit(ctx, c, ntohs(ip->payload)))
		return PASS_MALFORMED;
	/* On the wire they are nobody's, and here they are IPv4. */
	if (is_mapped(&ip->src) || is_mapped(&ip->dst))
		return PASS_OTHER;
	p->ip6 = true;
	p->src = ip->src;
	p->dst = ip->dst;
	p->protocol = ip->next;
	p->bytes = sizeof(*ip) + ntohs(ip->payload);
	return is_extension(ip->next) ? parse_extensions(ctx, c, p) : UNDECIDED;
}
