//go:build ignore

/* portico_l4 sends the packets of a service on to the backend that IPVS would
 * choose, in direct routing: only MAC addresses change. Whatever it is not
 * certain about it passes, unchanged, to IPVS.
 */
#include "kernel.h"
#include "transport.h"
#include "table.h"
#include "flow.h"
#include "fragment.h"
#include "guard.h"
#include "listeners.h"
#include "service.h"

/* choose finds the backend of a packet to s: its flow's, else the table's. */
static __always_inline enum verdict choose(struct packet *p, const struct service *s, struct cpu *cpu, __u32 *id,
					   struct backend **b)
{
	struct flow *f = get_flow(p, s);
	bool walked = false;
	enum verdict v;

	if (f && !opens(p)) {
		*b = follow_flow(f, p, cpu, id);
		if (likely(*b))
			return UNDECIDED;
		count_event(FLOW_STALE);
	}
	/* ip_vs_schedule leaves the data connections of FTP alone. */
	if (p->sport == htons(20) && !p->related)
		return PASS_FTP_DATA;
	v = pick(p, s, id, &walked);
	if (v != UNDECIDED)
		return v;
	if (walked)
		count_event(FLOW_FALLBACK);
	*b = get_backend(*id);
	if (!*b)
		return PASS_NO_BACKEND;
	remember(p, s, f, *id, *b, cpu);
	return UNDECIDED;
}

/* forward sends the frame to a backend, on its own interface or another. */
static __always_inline enum verdict forward(struct xdp_md *ctx, struct packet *p, __u32 service, __u32 id,
					    const struct backend *b)
{
	struct mac *own = p->own;

	if (b->flags & BACKEND_LOCAL)
		return PASS_LOCAL;
	if (!(b->flags & BACKEND_RESOLVED))
		return PASS_UNRESOLVED;
	if (b->vlans != p->vlans)
		return PASS_VLAN;
	p->out = b->ifindex;
	if (p->out != ctx->ingress_ifindex)
		own = own_mac(p->out);
	if (!own)
		return PASS_UNRESOLVED;
	set_mac(p->eth->dst, &b->mac);
	set_mac(p->eth->src, own);
	count_sent(p, service, id);
	if (p->related)
		count_event(ICMP_RELATED);
	return p->out == ctx->ingress_ifindex ? SEND : SEND_OTHER;
}

/* balance_later handles a fragment that has no ports. */
static __always_inline enum verdict balance_later(struct xdp_md *ctx, struct packet *p, struct cpu *cpu)
{
	struct fragment *f = follow(p, cpu->now_ns);
	struct backend *b;
	enum verdict v;

	if (!f)
		return PASS_FRAGMENT;
	v = guard(ctx, p, cpu);
	if (v != UNDECIDED)
		return v;
	count_event(FRAGMENT_KNOWN);
	b = get_backend(f->backend);
	return b ? forward(ctx, p, f->service, f->backend, b) : PASS_NO_BACKEND;
}

/* balance_whole handles a packet with ports, be it a first fragment. */
static __always_inline enum verdict balance_whole(struct xdp_md *ctx, struct packet *p, const struct service *s,
						 struct cpu *cpu)
{
	__u32 id = 0;
	struct backend *b = NULL;
	enum verdict v = guard(ctx, p, cpu);

	if (v != UNDECIDED)
		return v;
	if (syn_interval_ns && opens(p) && too_fast(p, cpu->now_ns))
		return DROP_SYN_RATE;
	v = choose(p, s, cpu, &id, &b);
	if (v != UNDECIDED)
		return v;
	v = forward(ctx, p, s->id, id, b);
	if (p->part == FIRST && (v == SEND || v == SEND_OTHER))
		lead(p, s->id, id, cpu->now_ns);
	return v;
}

static __always_inline enum verdict balance(struct xdp_md *ctx, struct packet *p)
{
	enum verdict v = parse(ctx, p);
	const struct service *s;
	struct cpu *cpu;

	if (v != UNDECIDED)
		return v;
	cpu = this_cpu();
	if (!cpu)
		return PASS_FENCED;
	if (p->part == LATER)
		return balance_later(ctx, p, cpu);
	s = get_service(p, cpu);
	if (!s)
		return PASS_NO_SERVICE;
	v = balance_whole(ctx, p, s, cpu);
	if (p->part == FIRST && v != SEND && v != SEND_OTHER)
		unlead(p);
	return v;
}

/* finish counts the verdict and does what it says. */
static __always_inline int finish(enum verdict v, __u32 out)
{
	count_verdict(v);
	switch (v) {
	case SEND:
		return XDP_TX;
	case SEND_OTHER:
		return bpf_redirect(out, 0);
	case DROP_DENIED:
	case DROP_SYN_RATE:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

SEC("xdp")
int portico_l4(struct xdp_md *ctx)
{
	struct packet p = {};

	return finish(balance(ctx, &p), p.out);
}

/* portico_l4_cookies shows SYNs that may be for this node to who answers them
 * with cookies: a program of its own, since others do not pay for it. */
SEC("xdp")
int portico_l4_cookies(struct xdp_md *ctx)
{
	struct packet p = {};
	enum verdict v = balance(ctx, &p);
	int action = finish(v, p.out);

	if ((v == PASS_LOCAL || v == PASS_PEER || v == PASS_NO_SERVICE) && opens(&p))
		bpf_tail_call(ctx, &answerers, v == PASS_NO_SERVICE ? ANSWER_RELAYED : ANSWER);
	return action; /* nobody answers */
}

/* No helper that it calls asks for another. */
char __license[] SEC("license") = "Apache-2.0";
