// SPDX-License-Identifier: Apache-2.0
//
// A longest-prefix-match trie that the program itself fills with 0.0.0.0/0,
// 10.0.0.0/8, 10.1.0.0/16 and 192.0.2.1/32.
//
// Result: for an IPv4 packet the value of the longest prefix that covers its
// destination (1, 8, 16 or 32), 0 for other packets; 100 is added if deleting
// 10.0.0.0/8 failed or 10.2.3.4 did not fall back to the default after it.
#include "bpf.h"

struct prefix {
	u32 len;
	u8 addr[4];
};

struct {
	NUM(type, BPF_MAP_TYPE_LPM_TRIE);
	TYPE(key, struct prefix);
	TYPE(value, u32);
	NUM(max_entries, 16);
	NUM(map_flags, BPF_F_NO_PREALLOC);
} routes SEC(".maps");

static INLINE void add(u32 len, u8 a, u8 b, u8 c, u8 d, u32 value)
{
	struct prefix p = {len, {a, b, c, d}};

	bpf_map_update_elem(&routes, &p, &value, BPF_ANY);
}

SEC("xdp")
int map_lpm(struct xdp_md *ctx)
{
	struct eth_hdr *eth = DATA(ctx);
	struct ipv4_hdr *ip = (void *)(eth + 1);
	struct prefix p = {.len = 32}, ten = {8, {10}}, inside = {32, {10, 2, 3, 4}};
	u32 ret = 0, *value;

	if ((void *)(ip + 1) > DATA_END(ctx) || eth->proto != htons(ETH_P_IP))
		return 0;
	add(0, 0, 0, 0, 0, 1);
	add(8, 10, 0, 0, 0, 8);
	add(16, 10, 1, 0, 0, 16);
	add(32, 192, 0, 2, 1, 32);
	__builtin_memcpy(p.addr, &ip->daddr, 4);
	value = bpf_map_lookup_elem(&routes, &p);
	if (value)
		ret = *value;
	if (bpf_map_delete_elem(&routes, &ten))
		ret += 100;
	value = bpf_map_lookup_elem(&routes, &inside);
	if (!value || *value != 1)
		ret += 100;
	return ret;
}

LICENSE("Apache-2.0");
