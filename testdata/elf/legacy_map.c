// SPDX-License-Identifier: Apache-2.0
//
// Maps declared the old way, as struct bpf_map_def in the section "maps".
//
// Result: the packet's length if both maps work, else 0. counters[1] is 1 and
// lengths has one entry, the length -> 1.
#include "bpf.h"

struct bpf_map_def {
	u32 type;
	u32 key_size;
	u32 value_size;
	u32 max_entries;
	u32 map_flags;
};

struct bpf_map_def SEC("maps") counters = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(u64),
	.max_entries = 2,
};

struct bpf_map_def SEC("maps") lengths = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(u32),
	.value_size = sizeof(u64),
	.max_entries = 16,
	.map_flags = BPF_F_NO_PREALLOC,
};

SEC("xdp")
int legacy_map(struct xdp_md *ctx)
{
	u32 one = 1, len = ctx->data_end - ctx->data;
	u64 *count, first = 1;

	count = bpf_map_lookup_elem(&counters, &one);
	if (!count)
		return 0;
	(*count)++;
	if (bpf_map_update_elem(&lengths, &len, &first, BPF_NOEXIST))
		return 0;
	return len;
}

LICENSE("Apache-2.0");
