/* What time it is, for a program that asks with every packet. */
#pragma once

#include "maps.h"

#define SECOND 1000000000ULL

/* The units of struct flow's time, in bits of nanoseconds. */
#define UNIT_SHIFT 30

/* this_cpu returns what this CPU keeps, with now_ns and epoch set. The clock is
 * read once a tick, since it goes no finer. An epoch ends with its edition, and
 * after a unit of time at the latest. */
static __always_inline struct cpu *this_cpu(void)
{
	__u32 zero = 0;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);
	__u64 *now = bpf_map_lookup_elem(&edition, &zero);
	__u64 tick = bpf_jiffies64();

	if (!cpu || !now)
		return NULL;
	if (cpu->tick != tick) {
		cpu->tick = tick;
		cpu->now_ns = bpf_ktime_get_coarse_ns();
	}
	if (cpu->edition != *now || cpu->unit != (__u32)(cpu->now_ns >> UNIT_SHIFT)) {
		cpu->edition = *now;
		cpu->unit = cpu->now_ns >> UNIT_SHIFT;
		cpu->epoch++;
	}
	return cpu;
}
