// SPDX-License-Identifier: Apache-2.0
// Maps defined as structs of numbers, and no BTF.
#include "bpf.h"

struct map_def {
	u32 type, key_size, value_size, max_entries, map_flags;
};

struct map_def SEC("maps") counts = {BPF_MAP_TYPE_ARRAY, 4, 8, 16, 1 << 10};
struct map_def SEC("maps") other = {.type = BPF_MAP_TYPE_HASH, .key_size = 2, .value_size = 1, .max_entries = 3};

NOINLINE static int twice(int x)
{
	opaque(x);
	return 2 * x;
}

SEC("socket")
int filter(struct __sk_buff *skb)
{
	u32 key = twice(skb->len);
	u64 *v = bpf_map_lookup_elem(&counts, &key);
	if (v)
		__sync_fetch_and_add(v, 1);
	bpf_map_delete_elem(&other, &key);
	return 0;
}

LICENSE("GPL");
