// SPDX-License-Identifier: Apache-2.0
// Maps with every member that a definition can have, a program array and a map
// of maps with initial values, and calls between sections.
#include "bpf.h"

struct key {
	u32 a;
	u64 b;
};

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, 100);
	NUM(map_flags, 1); // BPF_F_NO_PREALLOC
	NUM(pinning, 1);   // LIBBPF_PIN_BY_NAME
	TYPE(key, struct key);
	TYPE(value, u64);
} hash SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_RINGBUF);
	NUM(max_entries, 4096);
} ring SEC(".maps");

struct inner {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 3);
	TYPE(key, u32);
	TYPE(value, u64);
} one SEC(".maps"), two SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	NUM(max_entries, 4);
	NUM(key_size, 4);
	struct inner *values[];
} outer SEC(".maps") = {
	.values = {[0] = &one, [2] = &two},
};

int target(struct xdp_md *ctx);

struct {
	NUM(type, BPF_MAP_TYPE_PROG_ARRAY);
	NUM(max_entries, 3);
	NUM(key_size, 4);
	int (*values[])(struct xdp_md *);
} jumps SEC(".maps") = {
	.values = {[1] = target},
};

NOINLINE int add(int a, int b) // global, in .text
{
	return a + b + 1;
}

NOINLINE static long each(u32 i, void *ctx)
{
	*(u32 *)ctx += add(i, 2);
	return 0;
}

SEC("xdp")
int target(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("xdp.frags/devmap")
int calls(struct xdp_md *ctx)
{
	u32 sum = 0, zero = 0;
	struct key k = {1, 2};
	u64 *v = bpf_map_lookup_elem(&hash, &k);
	if (v)
		sum = *v;
	void *inner = bpf_map_lookup_elem(&outer, &zero);
	if (inner && bpf_map_lookup_elem(inner, &zero))
		sum++;
	bpf_loop(3, each, &sum, 0);
	bpf_tail_call(ctx, &jumps, 1);
	return add(sum, 1) + bpf_ringbuf_query(&ring, 0);
}

LICENSE("GPL");
