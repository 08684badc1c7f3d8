// SPDX-License-Identifier: Apache-2.0
//
// A histogram of latencies in powers of two, as tracing tools keep it: 256
// latencies, whose counters are looked up in an array map and added to
// atomically, and the quantiles that the histogram gives.
#include "../bench.h"

#define SLOTS 40

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, SLOTS);
	TYPE(key, u32);
	TYPE(value, u64);
} latencies SEC(".maps");

static INLINE u32 log2_of(u32 v)
{
	u32 r, shift;

	r = (v > 0xffff) << 4;
	v >>= r;
	shift = (v > 0xff) << 3;
	v >>= shift;
	r |= shift;
	shift = (v > 0xf) << 2;
	v >>= shift;
	r |= shift;
	shift = (v > 0x3) << 1;
	v >>= shift;
	r |= shift;
	return r | v >> 1;
}

static INLINE u32 log2l_of(u64 v)
{
	u32 hi = v >> 32;

	return hi ? log2_of(hi) + 32 : log2_of(v);
}

static NOINLINE void record(u64 ns)
{
	u32 slot = log2l_of(ns);
	u64 *count;

	if (slot >= SLOTS)
		slot = SLOTS - 1;
	count = bpf_map_lookup_elem(&latencies, &slot);
	if (count)
		__sync_fetch_and_add(count, 1);
}

// quantile returns the slot below which percent of all events are.
static NOINLINE u32 quantile(u32 percent, u32 events)
{
	u64 sum = 0;
	u32 slot;

	for (slot = 0; slot < SLOTS; slot++) {
		u32 key = slot;
		u64 *count = bpf_map_lookup_elem(&latencies, &key);

		if (!count)
			break;
		sum += *count;
		if (sum * 100 >= (u64)percent * events)
			break;
	}
	return slot;
}

SEC("xdp")
int loghist(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (u32 i = 0; i < SLOTS; i++) {
		u32 slot = i;
		u64 *count = bpf_map_lookup_elem(&latencies, &slot);

		if (count)
			*count = 0;
	}
	for (u32 i = 0; i < 256; i++) {
		u32 v = *(u32 *)(p + i * 4) * 0x9e3779b1;

		record((u64)(v >> 5) << (v & 15));
	}
	for (u32 i = 0; i < SLOTS; i++) {
		u32 slot = i;
		u64 *count = bpf_map_lookup_elem(&latencies, &slot);

		if (count)
			ret = ret * 31 + *count;
	}
	return ret ^ quantile(50, 256) << 16 ^ quantile(90, 256) << 8 ^ quantile(99, 256);
}
