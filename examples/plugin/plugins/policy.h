/* What both policies share: the map of counters, and helpers of Linux. */
#ifndef POLICY_H
#define POLICY_H

#include "http_request.h"

/* The first element is the number of requests. It outlives a change of policy. */
struct {
	int (*type)[2]; /* BPF_MAP_TYPE_ARRAY */
	int (*max_entries)[1];
	__u32 *key;
	__u64 *value;
} requests SEC(".maps");

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *) 1;

static inline void count(void)
{
	__u32 first = 0;
	__u64 *n = bpf_map_lookup_elem(&requests, &first);

	if (n)
		__sync_fetch_and_add(n, 1);
}

#endif
