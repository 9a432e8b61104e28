/* Ethernet, with up to two VLAN tags (IEEE 802.1Q, 802.1ad). */
#pragma once

#include "cursor.h"
#include "maps.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88a8

struct ether {
	__u16 dst[3];
	__u16 src[3];
	__be16 type;
};

struct vlan {
	__be16 tci; /* priority, drop eligible, 12 bits of id */
	__be16 type;
};

/* parse_ether returns the type of what follows the tags; a third tag is such
 * a type. 0: the frame is too short. */
static __always_inline __be16 parse_ether(struct cursor *c, struct ether **eth, __u32 *vlans)
{
	struct ether *e = pull(c, sizeof(*e));
	__be16 type;

	if (!e)
		return 0;
	*eth = e;
	type = e->type;
	for (int i = 0; i < 2; i++) {
		struct vlan *tag;

		if (type != htons(ETH_P_8021Q) && type != htons(ETH_P_8021AD))
			break;
		tag = pull(c, sizeof(*tag));
		if (!tag)
			return 0;
		*vlans = *vlans << 12 | (ntohs(tag->tci) & 0xfff);
		type = tag->type;
	}
	return type;
}

static __always_inline bool same_mac(const __u16 a[3], const struct mac *b)
{
	return a[0] == b->word[0] && a[1] == b->word[1] && a[2] == b->word[2];
}

static __always_inline void set_mac(__u16 to[3], const struct mac *from)
{
	to[0] = from->word[0];
	to[1] = from->word[1];
	to[2] = from->word[2];
}
