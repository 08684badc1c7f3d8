// SPDX-License-Identifier: Apache-2.0
//
// Tail calls through a program array with initial values.
//
// Results, of the entry: EtherType IPv4 jumps to slot 0 (returns 40), IPv6 to
// slot 1 (which jumps to slot 0 after noting it, 40), others to slot 2, which is
// empty, so the call falls through and the entry returns 99. trace holds one
// digit for each program that ran, the first in the highest place. Of
// limit_entry: 33, how often slot 3 ran before a call too many fell through.
#include "bpf.h"

u32 trace;
u32 runs;

int ipv4(struct xdp_md *ctx);
int ipv6(struct xdp_md *ctx);
int again(struct xdp_md *ctx);

struct {
	NUM(type, BPF_MAP_TYPE_PROG_ARRAY);
	NUM(max_entries, 4);
	TYPE(key, u32);
	int (*values[])(struct xdp_md *);
} next SEC(".maps") = {
	.values = {
		[0] = ipv4,
		[1] = ipv6,
		[3] = again,
	},
};

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	struct eth_hdr *eth = DATA(ctx);

	trace = 1;
	if ((void *)(eth + 1) > DATA_END(ctx))
		return 98;
	switch (ntohs(eth->proto)) {
	case ETH_P_IP:
		bpf_tail_call(ctx, &next, 0);
		break;
	case ETH_P_IPV6:
		bpf_tail_call(ctx, &next, 1);
		break;
	default:
		bpf_tail_call(ctx, &next, 2);
		bpf_tail_call(ctx, &next, 4); // out of the array
	}
	return 99;
}

SEC("xdp")
int ipv4(struct xdp_md *ctx)
{
	trace = trace * 10 + 4;
	return 40;
}

SEC("xdp")
int ipv6(struct xdp_md *ctx)
{
	trace = trace * 10 + 6;
	bpf_tail_call(ctx, &next, 0);
	return 60;
}

SEC("xdp")
int again(struct xdp_md *ctx)
{
	runs++;
	bpf_tail_call(ctx, &next, 3);
	return runs;
}

SEC("xdp")
int limit_entry(struct xdp_md *ctx)
{
	runs = 0;
	bpf_tail_call(ctx, &next, 3);
	return -1;
}

LICENSE("Apache-2.0");
