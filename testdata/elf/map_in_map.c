// SPDX-License-Identifier: Apache-2.0
//
// An array of maps and a hash of maps with their inner maps given in the object.
//
// Result: bits of what went wrong, so 0. Afterwards small[0] and large[0] are 1
// and the packet's length, and by_name has been read through key 7 only.
#include "bpf.h"

struct inner {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	TYPE(key, u32);
	TYPE(value, u64);
	NUM(max_entries, 1);
} small SEC(".maps"), large SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	TYPE(key, u32);
	NUM(max_entries, 3);
	struct inner *values[];
} by_index SEC(".maps") = {
	.values = {[0] = &small, [2] = &large},
};

struct {
	NUM(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	TYPE(key, u32);
	NUM(max_entries, 8);
	struct inner *values[];
} by_name SEC(".maps") = {
	.values = {[7] = &small},
};

SEC("xdp")
int map_in_map(struct xdp_md *ctx)
{
	u32 zero = 0, one = 1, two = 2, seven = 7;
	int wrong = 0;
	void *map;
	u64 *value;

	map = bpf_map_lookup_elem(&by_index, &zero);
	value = map ? bpf_map_lookup_elem(map, &zero) : NULL;
	if (value)
		*value = 1;
	else
		wrong |= 1;
	if (bpf_map_lookup_elem(&by_index, &one))
		wrong |= 2;
	map = bpf_map_lookup_elem(&by_index, &two);
	value = map ? bpf_map_lookup_elem(map, &zero) : NULL;
	if (value)
		*value = ctx->data_end - ctx->data;
	else
		wrong |= 4;
	map = bpf_map_lookup_elem(&by_name, &seven);
	value = map ? bpf_map_lookup_elem(map, &zero) : NULL;
	if (!value || *value != 1)
		wrong |= 8;
	if (bpf_map_lookup_elem(&by_name, &one))
		wrong |= 16;
	return wrong;
}

LICENSE("Apache-2.0");
