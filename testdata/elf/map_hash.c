// SPDX-License-Identifier: Apache-2.0
//
// Hash maps: plain, per-CPU and LRU; the flags of an update and their errors.
//
// Result: bits of what went wrong, so 0 (see the code). Afterwards flows has the
// key {6 bytes of destination MAC, EtherType} with the packet's length and not
// the key of zeros; per_cpu has key 7 -> 100; recent has key 1 -> 11, 2 -> 22.
#include "bpf.h"

struct flow {
	u8 mac[6];
	be16 proto;
};

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	TYPE(key, struct flow);
	TYPE(value, u64);
	NUM(max_entries, 2);
} flows SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERCPU_HASH);
	TYPE(key, u32);
	TYPE(value, u64);
	NUM(max_entries, 8);
} per_cpu SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_LRU_HASH);
	TYPE(key, u32);
	TYPE(value, u32);
	NUM(max_entries, 128);
} recent SEC(".maps");

static INLINE int try_flows(struct xdp_md *ctx, struct flow *flow)
{
	u64 len = ctx->data_end - ctx->data, other = 9, *found;
	struct flow zero = {}, third = {.proto = 1};
	int wrong = 0;

	if (bpf_map_lookup_elem(&flows, flow))
		wrong |= 1;
	if (bpf_map_update_elem(&flows, flow, &len, BPF_EXIST) != -2)
		wrong |= 2;
	if (bpf_map_update_elem(&flows, flow, &len, BPF_NOEXIST))
		wrong |= 4;
	if (bpf_map_update_elem(&flows, flow, &other, BPF_NOEXIST) != -17)
		wrong |= 8;
	found = bpf_map_lookup_elem(&flows, flow);
	if (!found || *found != len)
		wrong |= 16;
	if (bpf_map_update_elem(&flows, &zero, &other, BPF_ANY))
		wrong |= 32;
	if (bpf_map_update_elem(&flows, &third, &other, BPF_ANY) != -7)
		wrong |= 64;
	if (bpf_map_delete_elem(&flows, &zero))
		wrong |= 128;
	if (bpf_map_delete_elem(&flows, &zero) != -2)
		wrong |= 256;
	return wrong;
}

SEC("xdp")
int map_hash(struct xdp_md *ctx)
{
	u32 one = 1, two = 2, seven = 7, value;
	struct eth_hdr *eth = DATA(ctx);
	struct flow flow;
	u64 hundred = 100;
	int wrong;

	if ((void *)(eth + 1) > DATA_END(ctx))
		return -1;
	__builtin_memcpy(flow.mac, eth->dst, 6);
	flow.proto = eth->proto;
	wrong = try_flows(ctx, &flow);

	if (bpf_map_update_elem(&per_cpu, &seven, &hundred, BPF_ANY))
		wrong |= 512;
	value = 11;
	bpf_map_update_elem(&recent, &one, &value, BPF_ANY);
	value = 22;
	bpf_map_update_elem(&recent, &two, &value, BPF_ANY);
	if (!bpf_map_lookup_elem(&recent, &one) || bpf_map_lookup_elem(&recent, &seven))
		wrong |= 1024;
	return wrong;
}

LICENSE("Apache-2.0");
