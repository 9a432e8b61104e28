/* What the loader may set before it loads the program; the verifier then knows
 * the values and drops what they switch off. */
#pragma once

#include "kernel.h"

/* Rows of each table: the size that the kernel's ip_vs_mh was built with
 * (CONFIG_IP_VS_MH_TAB_INDEX; 4093 unless told). */
const volatile __u32 table_rows = 4093;

/* A UDP flow is forgotten after this time without a packet. */
const volatile __u64 udp_idle_ns = 30000000000ULL;

/* New flows that one CPU writes into the cache within a second. Those above go
 * by the table alone: the backend is the same, unless the table changes. */
const volatile __u64 flood_rate = 100000;

/* Time between two SYNs of one source, on average; 0: no limit. */
const volatile __u64 syn_interval_ns = 0;

/* How far a source may run ahead of that: (burst - 1) * syn_interval_ns. */
const volatile __u64 syn_burst_ns = 0;
