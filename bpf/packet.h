/* What the program knows about a frame once it is parsed. */
#pragma once

#include "ether.h"
#include "maps.h"

enum fragment_part { WHOLE, FIRST, LATER };

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct packet {
	struct ether *eth;
	struct mac *own; /* of the interface it came from */
	__u32 vlans;     /* as struct backend has them */

	/* Of the IP header; of an ICMP error, turned around, of the header that
	 * it quotes: always what the client sends. */
	struct address src, dst;
	__be16 sport, dport;
	__u8 protocol;
	__u8 tcp_flags;

	enum fragment_part part;
	__u32 id;    /* of the fragments */
	__u32 bytes; /* IP header and payload */
	bool ip6;
	bool related; /* an ICMP error */
	bool opens;   /* the first packet of a flow */
	__u32 out;    /* index of the interface to leave by */
};

static __always_inline enum fragment_part fragment_part(__u16 offset, bool more)
{
	return offset ? LATER : more ? FIRST : WHOLE;
}
