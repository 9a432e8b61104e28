/* The flow cache: which backend a client's connection has, whatever the table
 * says by now. */
#pragma once

#include "clock.h"
#include "count.h"
#include "packet.h"
#include "tunables.h"

static __always_inline struct flow_key flow_key(const struct packet *p, const struct service *s)
{
	return (struct flow_key){ .client = p->src, .service = s->id, .port = p->sport };
}

/* opens tells whether p asks for a new connection, which goes where the table
 * says although its address and port had another one before. */
static __always_inline bool opens(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && !p->related && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* alive tells whether the flow still says where its packets go. The director
 * sees one half of a TCP connection only: it goes on until a SYN replaces it
 * or others push it out. */
static __always_inline bool alive(const struct flow *f, const struct packet *p, __u64 now)
{
	struct backend *b = get_backend(f->backend);

	if (!b || !b->generation || b->generation != f->generation)
		return false;
	return p->protocol == IPPROTO_TCP || (__s64)(now - f->seen_ns) < (__s64)udp_idle_ns;
}

/* touch keeps the time of the last packet. Every packet would dirty a cache
 * line, where one in a second does. */
static __always_inline void touch(struct flow *f, const struct packet *p, __u64 now)
{
	if (!p->related && (__s64)(now - f->seen_ns) > (__s64)SECOND)
		f->seen_ns = now;
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
static __always_inline void remember(struct packet *p, const struct flow_key *key, struct flow *have, __u32 id,
				       struct cpu *cpu)
{
	struct backend *b = get_backend(id);
	struct flow f = { .backend = id, .seen_ns = cpu->now_ns };

	if (!b || p->related || (p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_RST | TCP_FIN))))
		return;
	p->opens = true;
	f.generation = b->generation;
	if (have) {
		*have = f;
		return;
	}
	if (hurried(cpu)) {
		count_event(FLOW_BYPASSED);
		return;
	}
	bpf_map_update_elem(&flows, key, &f, BPF_ANY);
	count_event(FLOW_NEW);
}
