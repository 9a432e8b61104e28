/* Everything that user space and the program share. Sizes are defaults: the
 * loader sets max_entries before it creates a map.
 *
 * Addresses are 16 bytes in network order, IPv4 mapped (::ffff:192.0.2.1).
 * Ports are in network order. Times are CLOCK_MONOTONIC in nanoseconds.
 */
#pragma once

#include "kernel.h"
#include "verdict.h"

struct address {
	__be32 word[4];
};

struct mac {
	__u16 word[3]; /* as on the wire */
	__u16 pad;     /* 0 */
};

/* services: the services whose VIP this node owns, and only those. */
struct service_key {
	struct address addr;
	__be16 port;
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 pad;      /* 0 */
};

#define SERVICE_PORT 1U     /* mh-port: the client's port is hashed too */
#define SERVICE_FALLBACK 2U /* mh-fallback: walk on from a backend that takes nothing new */

struct service {
	__u32 id;    /* of its table in tables, and of its counters; from 1 */
	__u32 flags; /* SERVICE_* */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct service_key);
	__type(value, struct service);
} services SEC(".maps");

/* tables: for each service id the rows of IPVS's mh table; a row is a backend
 * id, 0 where there is none. A table is replaced whole: a packet sees the old
 * one or the new one. Its size is table_rows. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(max_entries, 4093);
		__type(key, __u32);
		__type(value, __u32);
	});
} tables SEC(".maps");

/* backends: one for each server of each service; the key is its id, from 1. */
#define BACKEND_SCHEDULED 1U /* its weight is above 0: it takes new flows */
#define BACKEND_LOCAL 2U     /* it is this node */
#define BACKEND_RESOLVED 4U  /* mac, ifindex and vlans are good */

struct backend {
	struct mac mac;
	__u32 ifindex;    /* where frames to it leave: the interface that holds XDP, not a VLAN above it */
	__u32 vlans;      /* its VLAN: 0 untagged, id, or outer id << 12 | inner id */
	__u32 flags;      /* BACKEND_* */
	__u32 generation; /* 0: the id is free. Flows of another generation are forgotten. */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

/* flows4, flows6: which backend a client's connection has. One table for all
 * CPUs, so that a flow which moves to another receive queue is found; a list of
 * the least recently used for each CPU, so that they do not contend and a flood
 * on one CPU evicts that CPU's flows only.
 *
 * With very many flows it is memory that takes the time. An entry of IPv4, with
 * what the kernel keeps beside it (struct htab_elem), is one line of the cache. */
struct flow4_key {
	__be32 client;
	__be16 port;   /* the client's */
	__u16 service; /* id */
};

struct flow6_key {
	struct address client;
	__be16 port;   /* the client's */
	__u16 service; /* id */
	__u32 pad;     /* 0 */
};

/* The tenancy is a backend's generation << BACKEND_BITS | its id. Who gets an
 * id after another has a tenancy of its own, unless 2^18 generations, or a
 * multiple, lie between them: then it gets packets of connections that it does
 * not know, as any server would whom the table names for them. */
#define BACKEND_BITS 14

struct flow {
	__u32 tenancy;
	__u32 seen; /* when the last packet came, in units of 2^30 ns */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__uint(max_entries, 1 << 20);
	__type(key, struct flow4_key);
	__type(value, struct flow);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__uint(max_entries, 1 << 20);
	__type(key, struct flow6_key);
	__type(value, struct flow);
} flows6 SEC(".maps");

/* fragments: where the first fragment of a datagram went. */
struct fragment_key {
	struct address src;
	struct address dst;
	__u32 id;       /* IPv4 identification or IPv6 fragment identification, as on the wire */
	__u32 protocol; /* IPv4 protocol (RFC 791: part of the identity); 0 with IPv6 */
};

struct fragment {
	__u32 service; /* id */
	__u32 backend; /* id */
	__u32 generation;
	__u32 pad;
	__u64 seen_ns; /* when the first fragment came */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
} fragments SEC(".maps");

/* interfaces: those that the program may take frames from and send frames to,
 * by index, with their own MAC address; zero for all others. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct mac);
} interfaces SEC(".maps");

/* peers: MAC addresses of the other directors. The value says nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct mac);
	__type(value, __u8);
} peers SEC(".maps");

/* fence: one entry, written whole. With a beat older than limit everything
 * passes, so that no program outlives its director for long. */
struct fence {
	__u64 beat_ns;  /* when the director last said that it lives */
	__u64 limit_ns; /* how long that holds; 0: everything passes */
	__u64 denying;  /* 1: ask denied; 0: it is empty */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fence);
} fence SEC(".maps");

/* denied: sources whose packets to a service are dropped. */
struct denied_key {
	__u32 prefix; /* bits, 96 more with IPv4 */
	struct address addr;
};

struct denied {
	__u64 until_ns; /* 0: for ever */
	__u64 packets;  /* dropped because of this entry */
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct denied_key);
	__type(value, struct denied);
} denied SEC(".maps");

/* syns: for each source (an IPv6 /64 is one) when its next SYN is due, in
 * nanoseconds: a token bucket told by one number. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct address);
	__type(value, __u64);
} syns SEC(".maps");

/* edition: one entry. User space puts the time there after it has changed
 * services, which has every CPU forget what it recalls of them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} edition SEC(".maps");

/* A service as a CPU found it in services, in an epoch of that CPU. */
struct recalled {
	struct service_key key;
	__u32 epoch;
	struct service service;
};

#define RECALLED 8 /* services */

/* cpus: one entry; what each CPU keeps for itself. User space leaves it alone. */
struct cpu {
	__u64 tick;      /* jiffies when now_ns was read */
	__u64 now_ns;
	__u64 edition;   /* an epoch has one, */
	__u32 unit;      /* and one unit of time, see struct flow */
	__u32 epoch;     /* counts them, from 1 */
	__u64 second_ns; /* when the current second of flows began */
	__u64 flows;     /* written into the cache in that second */
	__u64 router_ns; /* when router was found to be no peer */
	struct mac router;
	struct recalled recalled[RECALLED];
	__u64 settled; /* says nothing; see settle */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu);
} cpus SEC(".maps");

/* Counters of what was sent. What is passed IPVS counts, beside the same
 * services: the sum is the service's. */
struct counters {
	__u64 packets;
	__u64 bytes; /* of IP, as IPVS counts them */
	__u64 flows; /* SYNs, and first packets where there was none */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32); /* service id */
	__type(value, struct counters);
} service_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32); /* backend id */
	__type(value, struct counters);
} backend_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, enum verdict);
	__type(value, __u64); /* frames */
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENTS);
	__type(key, enum event);
	__type(value, __u64); /* frames */
} events SEC(".maps");
