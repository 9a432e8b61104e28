/* The flow cache: which backend a client's connection has, whatever the table
 * says by now. */
#pragma once

#include "clock.h"
#include "count.h"
#include "packet.h"
#include "table.h"

/* flow4 is the key of a flow of IPv4: struct flow4_key in one word. */
static __always_inline __u64 flow4(const struct packet *p, const struct service *s)
{
	return (__u64)s->id << 48 | (__u64)p->sport << 32 | p->src.word[3];
}

static __always_inline struct flow6_key flow6(const struct packet *p, const struct service *s)
{
	return (struct flow6_key){ .client = p->src, .port = p->sport, .service = s->id };
}

static __always_inline struct flow *get_flow(const struct packet *p, const struct service *s)
{
	__u64 key4 = flow4(p, s);
	struct flow6_key key6 = flow6(p, s);

	return p->ip6 ? bpf_map_lookup_elem(&flows6, &key6) : bpf_map_lookup_elem(&flows4, &key4);
}

static __always_inline void put_flow(const struct packet *p, const struct service *s, const struct flow *f)
{
	__u64 key4 = flow4(p, s);
	struct flow6_key key6 = flow6(p, s);

	if (p->ip6)
		bpf_map_update_elem(&flows6, &key6, f, BPF_ANY);
	else
		bpf_map_update_elem(&flows4, &key4, f, BPF_ANY);
}

static __always_inline __u32 tenancy(__u32 id, const struct backend *b)
{
	return b->generation << BACKEND_BITS | id;
}

/* opens tells whether p asks for a new connection, which goes where the table
 * says although its address and port had another one before. */
static __always_inline bool opens(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && !p->related && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* follow_flow returns the backend of a flow that still says where its packets
 * go, else NULL. The director sees one half of a TCP connection only: it goes
 * on until a SYN replaces it or others push it out. Of its packets one in a
 * unit of time leaves a trace: each would dirty a line of the cache. */
static __always_inline struct backend *follow_flow(struct flow *f, const struct packet *p, const struct cpu *cpu,
						   __u32 *id)
{
	struct backend *b;

	*id = f->tenancy & ((1 << BACKEND_BITS) - 1);
	b = get_backend(*id);
	if (!b || !b->generation || tenancy(*id, b) != f->tenancy)
		return NULL;
	if (p->protocol != IPPROTO_TCP && cpu->unit - f->seen > udp_idle_ns >> UNIT_SHIFT)
		return NULL;
	if (f->seen != cpu->unit && !p->related)
		f->seen = cpu->unit;
	return b;
}

/* hurried tells whether this CPU has written its share of new flows in this
 * second: under a flood of spoofed SYNs the cache would hold nothing else. */
static __always_inline bool hurried(struct cpu *cpu)
{
	if (cpu->now_ns - cpu->second_ns >= SECOND) {
		cpu->second_ns = cpu->now_ns;
		cpu->flows = 0;
	}
	if (cpu->flows >= flood_rate)
		return true;
	cpu->flows++;
	return false;
}

/* remember writes the flow's backend into the cache. The end of a connection
 * that the cache does not know is not worth an entry; nor may a packet about
 * another make one. */
static __always_inline void remember(struct packet *p, const struct service *s, struct flow *have, __u32 id,
				     const struct backend *b, struct cpu *cpu)
{
	struct flow f = { .tenancy = tenancy(id, b), .seen = cpu->unit };

	if (p->related || (p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_RST | TCP_FIN))))
		return;
	p->opens = true;
	if (have) {
		*have = f;
		return;
	}
	if (hurried(cpu)) {
		count_event(FLOW_BYPASSED);
		return;
	}
	put_flow(p, s, &f);
	count_event(FLOW_NEW);
}
