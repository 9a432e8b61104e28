/* TCP, UDP, and the ICMP errors about them. */
#pragma once

#include "ip.h"

struct ports {
	__be16 src;
	__be16 dst;
};

struct tcp {
	struct ports ports;
	__be32 seq;
	__be32 ack;
	__u8 offset;
	__u8 flags;
	__be16 window;
	__be32 check_urgent;
};

struct udp {
	struct ports ports;
	__be16 length;
	__be16 check;
};

struct icmp {
	__u8 type;
	__u8 code;
	__be16 check;
	__be32 rest;
};

static __always_inline enum verdict parse_tcp(struct cursor *c, struct packet *p)
{
	struct tcp *tcp = pull(c, sizeof(*tcp));

	if (!tcp)
		return PASS_MALFORMED;
	p->sport = tcp->ports.src;
	p->dport = tcp->ports.dst;
	p->tcp_flags = tcp->flags;
	return UNDECIDED;
}

static __always_inline enum verdict parse_udp(struct cursor *c, struct packet *p)
{
	struct udp *udp = pull(c, sizeof(*udp));

	if (!udp)
		return PASS_MALFORMED;
	p->sport = udp->ports.src;
	p->dport = udp->ports.dst;
	return UNDECIDED;
}

/* is_error tells whether an ICMP message quotes the packet that it is about,
 * and concerns its sender: destination unreachable (which carries "fragmentation
 * needed"), time exceeded, parameter problem (RFC 792); and packet too big
 * (RFC 4443). Redirects are for hosts, source quench is dead (RFC 6633). */
static __always_inline bool is_error(bool ip6, __u8 type)
{
	return ip6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;
}

/* parse_quoted turns an ICMP error into the packet of the client that its
 * backend waits for: a router on the way, or the client itself, speaks about
 * an answer, which the backend sent from the VIP's port to the client's. */
static __always_inline enum verdict parse_quoted(struct xdp_md *ctx, struct cursor *c, struct packet *p)
{
	struct icmp *icmp = pull(c, sizeof(*icmp));
	struct packet quoted = {};
	struct ports *ports;
	enum verdict v;

	if (!icmp)
		return PASS_MALFORMED;
	if (!is_error(p->ip6, icmp->type))
		return PASS_OTHER;
	v = p->ip6 ? parse_ip6(ctx, c, &quoted, true) : parse_ip4(ctx, c, &quoted, true);
	if (v != UNDECIDED)
		return v;
	if (quoted.part == LATER)
		return PASS_OTHER;
	if (quoted.protocol != IPPROTO_TCP && quoted.protocol != IPPROTO_UDP)
		return PASS_OTHER;
	ports = pull(c, sizeof(*ports));
	if (!ports)
		return PASS_MALFORMED;
	/* The error went to the sender of what it quotes. */
	if (!same_address(&quoted.src, &p->dst))
		return PASS_OTHER;
	p->src = quoted.dst;
	p->sport = ports->dst;
	p->dport = ports->src;
	p->protocol = quoted.protocol;
	p->related = true;
	return UNDECIDED;
}

/* parse_transport reads what follows the IP header. */
static __always_inline enum verdict parse_transport(struct xdp_md *ctx, struct cursor *c, struct packet *p)
{
	if (p->protocol == IPPROTO_TCP)
		return parse_tcp(c, p);
	if (p->protocol == IPPROTO_UDP)
		return parse_udp(c, p);
	if (p->protocol == (p->ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) && p->part == WHOLE)
		return parse_quoted(ctx, c, p);
	return PASS_OTHER;
}

/* parse reads a frame from its first byte to its ports. */
static __always_inline enum verdict parse(struct xdp_md *ctx, struct packet *p)
{
	struct cursor cursor = cursor_at(ctx, 0, ~0U), *c = &cursor;
	enum verdict v;

	switch (parse_ether(c, &p->eth, &p->vlans)) {
	case 0:
		return PASS_MALFORMED;
	case htons(ETH_P_IP):
		v = parse_ip4(ctx, c, p, false);
		break;
	case htons(ETH_P_IPV6):
		v = parse_ip6(ctx, c, p, false);
		break;
	default:
		return PASS_OTHER;
	}
	if (v != UNDECIDED || p->part == LATER)
		return v;
	return parse_transport(ctx, c, p);
}
