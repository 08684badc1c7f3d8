// SPDX-License-Identifier: Apache-2.0
//
// Array maps, plain and per-CPU.
//
// Result: the sum of the errors of six operations, each a bit: 1 a lookup past
// the end found something, 2 an update there did not say E2BIG, 4 BPF_NOEXIST
// did not say EEXIST, 8 a delete did not say EINVAL, 16 an update failed, 32 a
// value written was not read back. So 0. totals[0] is the packet's length,
// totals[3] is 33; per_cpu[1] has its first half 5 larger, its second 7.
#include "bpf.h"

struct pair {
	u64 first;
	u64 second;
};

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	TYPE(key, u32);
	TYPE(value, u64);
	NUM(max_entries, 4);
} totals SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct pair);
	NUM(max_entries, 2);
} per_cpu SEC(".maps");

SEC("xdp")
int map_array(struct xdp_md *ctx)
{
	u32 zero = 0, one = 1, three = 3, four = 4;
	u64 value = 33, *total;
	struct pair *pair;
	int wrong = 0;

	total = bpf_map_lookup_elem(&totals, &zero);
	if (total)
		*total += ctx->data_end - ctx->data;
	if (bpf_map_lookup_elem(&totals, &four))
		wrong |= 1;
	if (bpf_map_update_elem(&totals, &four, &value, BPF_ANY) != -7)
		wrong |= 2;
	if (bpf_map_update_elem(&totals, &three, &value, BPF_NOEXIST) != -17)
		wrong |= 4;
	if (bpf_map_delete_elem(&totals, &three) != -22)
		wrong |= 8;
	if (bpf_map_update_elem(&totals, &three, &value, BPF_EXIST))
		wrong |= 16;
	total = bpf_map_lookup_elem(&totals, &three);
	if (!total || *total != 33)
		wrong |= 32;
	pair = bpf_map_lookup_elem(&per_cpu, &one);
	if (pair) {
		pair->first += 5;
		pair->second += 7;
	}
	return wrong;
}

LICENSE("Apache-2.0");
