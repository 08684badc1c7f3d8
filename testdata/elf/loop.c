// SPDX-License-Identifier: Apache-2.0
//
// Callbacks: bpf_loop and bpf_for_each_map_elem.
//
// Results:
//   sum_loop   the sum of 0..999 (499500), then * 2 + the trips of a loop that
//              ends itself at 10 (11)
//   sum_array  the sum of value * (key + 1) over an array of 3, 5, 7: 34, * 10 +
//              the sum of the two values seen by a walk that stops early (8)
//   sum_hash   the sum of the values of a hash: 600
#include "bpf.h"

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	TYPE(key, u32);
	TYPE(value, u32);
	NUM(max_entries, 3);
} numbers SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	TYPE(key, u32);
	TYPE(value, u32);
	NUM(max_entries, 8);
} names SEC(".maps");

struct state {
	u32 sum;
	u32 stop_at;
};

static long add_index(u32 index, struct state *state)
{
	state->sum += index;
	return index == state->stop_at;
}

static long add_value(void *map, u32 *key, u32 *value, struct state *state)
{
	state->sum += *value * (*key + 1);
	return 0;
}

static long add_until(void *map, u32 *key, u32 *value, struct state *state)
{
	state->sum += *value;
	return *key == state->stop_at;
}

static long add_plain(void *map, u32 *key, u32 *value, struct state *state)
{
	state->sum += *value;
	return 0;
}

static INLINE void put(void *map, u32 key, u32 value)
{
	bpf_map_update_elem(map, &key, &value, BPF_ANY);
}

SEC("xdp")
int sum_loop(struct xdp_md *ctx)
{
	struct state state = {0, ~0};
	long trips;

	if (bpf_loop(1000, add_index, &state, 0) != 1000)
		return -1;
	state.stop_at = 10;
	trips = bpf_loop(1000, add_index, &(struct state){0, 10}, 0);
	return state.sum * 2 + trips;
}

SEC("xdp")
int sum_array(struct xdp_md *ctx)
{
	struct state all = {}, two = {0, 1};

	put(&numbers, 0, 3);
	put(&numbers, 1, 5);
	put(&numbers, 2, 7);
	if (bpf_for_each_map_elem(&numbers, add_value, &all, 0) != 3)
		return -1;
	if (bpf_for_each_map_elem(&numbers, add_until, &two, 0) != 2)
		return -2;
	return all.sum * 10 + two.sum;
}

SEC("xdp")
int sum_hash(struct xdp_md *ctx)
{
	struct state all = {};

	put(&names, 1, 100);
	put(&names, 2, 200);
	put(&names, 3, 300);
	if (bpf_for_each_map_elem(&names, add_plain, &all, 0) != 3)
		return -1;
	return all.sum;
}

LICENSE("Apache-2.0");
