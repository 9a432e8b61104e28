/* What portico_l4, the programs of SYN cookies and user space share beside
 * maps.h. */
#pragma once

#include "maps.h"

/* listeners: the TCP ports of services, whoever owns their addresses now. Empty
 * where no SYN is answered with a cookie. */
struct listener {
	__u64 due_ns;  /* when the next SYN is due at the even rate, see too_many */
	__u64 sent_ns; /* when the latest cookie was sent, a second early at most; 0: none was */
	__u64 refused; /* connections that its socket took not, though their cookies were good; one ends the cookies */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct service_key);
	__type(value, struct listener);
} listeners SEC(".maps");

/* answerers: who answers a SYN in place of this node's socket. Empty where the
 * kernel does not take them, or nobody wants it. */
#define ANSWER 0U         /* it stays here, says the table or another director */
#define ANSWER_RELAYED 1U /* if another director says so: the address is not owned here */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} answerers SEC(".maps");
