//go:build ignore

/* SYN cookies: portico_answer answers a SYN in place of the port's socket,
 * and portico_admit has the socket take the connection of a client who answers.
 * In between nobody remembers anything: the sequence number is the kernel's
 * own cookie, and what the client said about itself comes back with its
 * timestamp. A client that sends none gets short segments: it is the least that
 * every host takes, and the cookie tells these programs nothing more.
 *
 * The programs of this file may also be used under the terms of the MIT licence,
 * or of the GPL, version 2: the kernel asks that of who calls these helpers.
 */
#include "count.h"
#include "reply.h"

#define CONTROLS (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)

/* listens tells whether a socket waits for new connections, and has none of
 * this client: one that is about to end knows better what to say. */
static __always_inline bool listens(void *ctx, const struct segment *s)
{
	struct bpf_sock *found = find_socket(ctx, s);
	bool yes;

	if (!found)
		return false;
	yes = found->state == TCP_LISTEN;
	bpf_sk_release(found);
	return yes;
}

/* relayed tells whether another director sent the frame to this node. */
static __always_inline bool relayed(struct xdp_md *ctx, __u64 now)
{
	struct mac to = {}, from = {};
	struct mac *own = own_mac(ctx->ingress_ifindex);
	__u32 zero = 0;
	struct fence *f = bpf_map_lookup_elem(&fence, &zero);

	return f && !fenced(f, now) && own && !bpf_xdp_load_bytes(ctx, 0, to.word, sizeof(to.word)) &&
	       !bpf_xdp_load_bytes(ctx, sizeof(to.word), from.word, sizeof(from.word)) &&
	       same_mac(to.word, own) && bpf_map_lookup_elem(&peers, &from);
}

/* too_many takes one SYN from the allowance of a port, which is a second's
 * worth ahead at most. Of those above nothing is written, so that the CPUs do
 * not contend in a flood. */
static __always_inline bool too_many(struct listener *l, __u64 now)
{
	__s64 ahead = l->due_ns - now;

	if (ahead > (__s64)SECOND)
		return true;
	l->due_ns = (ahead > 0 ? l->due_ns : now) + cookie_interval_ns;
	return false;
}

/* reply turns the frame into the answer, and returns by which interface it
 * leaves; 0 where there is none. */
static __always_inline __u32 reply(struct xdp_md *ctx, struct segment *s)
{
	struct way way = {};
	__u64 bytes;
	__s64 cookie;

	if (!read_options(ctx, true, s) || !listens(ctx, s) || !find_way(ctx, s, &way))
		return 0;
	bytes = s->length;
	asm volatile("" : "+r"(bytes)); /* bounded here, where it is used: see read_options */
	if (bytes > MOST_OPTIONS)
		return 0;
	bytes += sizeof(s->tcp);
	asm volatile("" : "+r"(bytes));
	cookie = s->is6 ? bpf_tcp_raw_gen_syncookie_ipv6(&s->ip6, &s->tcp, bytes) :
			  bpf_tcp_raw_gen_syncookie_ipv4(&s->ip4, &s->tcp, bytes);
	return cookie >= 0 && write_reply(ctx, s, &way, cookie) ? way.ifindex : 0;
}

/* answer answers a SYN that is one too many. */
static __always_inline int answer(struct xdp_md *ctx, bool ask)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct segment s = {};
	struct service_key key;
	struct listener *l;
	__be16 type = 0;
	__u32 out;

	if (bpf_xdp_load_bytes(ctx, ETHER_BYTES - sizeof(type), &type, sizeof(type)) || !read_tcp(ctx, true, type, &s))
		return XDP_PASS;
	key = port_of(&s);
	l = bpf_map_lookup_elem(&listeners, &key);
	if (!l || l->refused || (ask && !relayed(ctx, now)) || !too_many(l, now))
		return XDP_PASS;
	out = (s.tcp.flags & CONTROLS) == TCP_SYN ? reply(ctx, &s) : 0;
	if (!out) {
		count_event(COOKIE_NONE);
		return XDP_PASS;
	}
	if ((__s64)(now - l->sent_ns) > (__s64)SECOND)
		l->sent_ns = now;
	count_event(COOKIE_SENT);
	return out == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(out, 0);
}

SEC("xdp")
int portico_answer(struct xdp_md *ctx)
{
	return answer(ctx, false);
}

SEC("xdp")
int portico_answer_relayed(struct xdp_md *ctx)
{
	return answer(ctx, true);
}

extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk, struct bpf_tcp_req_attrs *attrs, int attrs__sz) SEC(".ksyms");

/* said is what the client said about itself when it sent the SYN. */
static __always_inline struct bpf_tcp_req_attrs said(const struct segment *s)
{
	struct bpf_tcp_req_attrs a = { .mss = least_mss(s) };
	__u32 back = ntohl(s->tsecr);

	if (!s->timestamps)
		return a;
	a.tstamp_ok = 1;
	a.rcv_tsval = ntohl(s->tsval);
	a.rcv_tsecr = back;
	a.mss = class_mss(s, back >> CLASS_SHIFT & CLASS_MASK);
	a.sack_ok = back >> SACK_SHIFT & 1;
	if ((back & WSCALE_MASK) != NO_WSCALE) {
		a.wscale_ok = 1;
		a.snd_wscale = back & WSCALE_MASK;
		a.rcv_wscale = window_scale;
	}
	return a;
}

/* good tells whether the segment brings a cookie back. */
static __always_inline bool good(const struct segment *s)
{
	return s->is6 ? !bpf_tcp_raw_check_syncookie_ipv6(&s->ip6, &s->tcp) :
			!bpf_tcp_raw_check_syncookie_ipv4(&s->ip4, &s->tcp);
}

/* admit gives the segment to the port's socket as the last of a handshake. */
static __always_inline void admit(struct __sk_buff *skb, struct segment *s, struct listener *l, struct bpf_sock *port)
{
	struct bpf_tcp_req_attrs attrs;
	struct sock *sk;

	if (!good(s) || !read_options(skb, false, s)) {
		count_event(COOKIE_BAD);
		return;
	}
	attrs = said(s);
	sk = bpf_skc_to_tcp_sock(port);
	if (sk && !bpf_sk_assign_tcp_reqsk(skb, sk, &attrs, sizeof(attrs))) {
		count_event(COOKIE_GOOD);
		return;
	}
	/* One of MPTCP, perhaps: the next SYN is its own to answer. */
	count_event(COOKIE_REFUSED);
	__sync_fetch_and_add(&l->refused, 1);
}

SEC("tcx/ingress")
int portico_admit(struct __sk_buff *skb)
{
	struct segment s = {};
	struct service_key key;
	struct bpf_sock *port;
	struct listener *l;

	if (skb->vlan_present || !read_tcp(skb, false, skb->protocol, &s))
		return TCX_NEXT;
	if ((s.tcp.flags & CONTROLS) != TCP_ACK)
		return TCX_NEXT;
	key = port_of(&s);
	l = bpf_map_lookup_elem(&listeners, &key);
	if (!l || !l->sent_ns || (__s64)(bpf_ktime_get_coarse_ns() - l->sent_ns) > (__s64)COOKIE_AGE)
		return TCX_NEXT;
	port = find_socket(skb, &s);
	if (!port)
		return TCX_NEXT;
	if (port->state == TCP_LISTEN)
		admit(skb, &s, l, port);
	bpf_sk_release(port);
	return TCX_NEXT;
}

char __license[] SEC("license") = "Dual MIT/GPL";
