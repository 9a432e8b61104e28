/* What the kernel lends the programs of SYN cookies, beside kernel.h
 * (include/uapi/linux/bpf.h, net/core/filter.c). The helpers that make and
 * check cookies and look up routes are lent to programs whose licence is
 * compatible with the GPL, and so are all kernel functions. */
#pragma once

#include "maps.h"

struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol; /* in network order */
	__u32 vlan_present;
};

#define TCX_NEXT -1

struct bpf_sock {
	__u32 bound_dev_if;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 mark;
	__u32 priority;
	__u32 src_ip4;
	__u32 src_ip6[4];
	__u32 src_port;
	__be16 dst_port;
	__u16 pad;
	__u32 dst_ip4;
	__u32 dst_ip6[4];
	__u32 state;
};

#define TCP_LISTEN 10 /* BPF_TCP_LISTEN */
#define BPF_F_CURRENT_NETNS -1L

/* The two forms of struct bpf_sock_tuple. */
struct tuple4 {
	__be32 src, dst;
	__be16 sport, dport;
};

struct tuple6 {
	struct address src, dst;
	__be16 sport, dport;
};

#define AF_INET 2
#define AF_INET6 10

struct bpf_fib_lookup {
	__u8 family;
	__u8 protocol;
	__be16 sport, dport;
	__u16 bytes;   /* of the packet; on return the route's MTU */
	__u32 ifindex; /* by which it came; on return by which it leaves */
	__u32 flow;    /* type of service, or flow label */
	struct address src, dst; /* IPv4 in the first word */
	__be16 vlan_protocol, vlan_tci;
	__u16 smac[3];
	__u16 dmac[3];
};

/* struct bpf_tcp_req_attrs (include/net/tcp.h): a connection as its SYN had it. */
struct bpf_tcp_req_attrs {
	__u32 rcv_tsval;
	__u32 rcv_tsecr;
	__u16 mss;
	__u8 rcv_wscale;
	__u8 snd_wscale;
	__u8 ecn_ok;
	__u8 wscale_ok;
	__u8 sack_ok;
	__u8 tstamp_ok;
	__u8 usec_ts_ok;
	__u8 reserved[3];
};

struct sock {};

static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = (void *)26;
static __s64 (*const bpf_csum_diff)(const void *from, __u32 from_size, const void *to, __u32 to_size, __u32 seed) = (void *)28;
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
static long (*const bpf_fib_lookup)(void *ctx, struct bpf_fib_lookup *params, int plen, __u32 flags) = (void *)69;
static long (*const bpf_sk_release)(void *sock) = (void *)86;
static struct bpf_sock *(*const bpf_skc_lookup_tcp)(void *ctx, const void *tuple, __u32 size, __u64 netns, __u64 flags) = (void *)99;
static struct sock *(*const bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static long (*const bpf_xdp_load_bytes)(struct xdp_md *ctx, __u32 offset, void *to, __u32 len) = (void *)189;
static long (*const bpf_xdp_store_bytes)(struct xdp_md *ctx, __u32 offset, const void *from, __u32 len) = (void *)190;
/* The cookie, and in the upper half the MSS that it stands for. */
static __s64 (*const bpf_tcp_raw_gen_syncookie_ipv4)(const void *ip, const void *tcp, __u32 tcp_len) = (void *)204;
static __s64 (*const bpf_tcp_raw_gen_syncookie_ipv6)(const void *ip, const void *tcp, __u32 tcp_len) = (void *)205;
static long (*const bpf_tcp_raw_check_syncookie_ipv4)(const void *ip, const void *tcp) = (void *)206;
static long (*const bpf_tcp_raw_check_syncookie_ipv6)(const void *ip, const void *tcp) = (void *)207;
