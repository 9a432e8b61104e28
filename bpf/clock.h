/* What time it is, for a program that asks with every packet. */
#pragma once

#include "maps.h"

#define SECOND 1000000000ULL

/* this_cpu returns what this CPU keeps, with now_ns set. The clock is read once
 * a tick, since it goes no finer. */
static __always_inline struct cpu *this_cpu(void)
{
	__u32 zero = 0;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);
	__u64 tick = bpf_jiffies64();

	if (cpu && cpu->tick != tick) {
		cpu->tick = tick;
		cpu->now_ns = bpf_ktime_get_coarse_ns();
	}
	return cpu;
}
