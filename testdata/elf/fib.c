// SPDX-License-Identifier: Apache-2.0
//
// bpf_fib_lookup. What it answers is the machine's routing; what it refuses is not.
//
// Results: lookup XDP_PASS whatever the answer is; bad_size
// and bad_flags 22 (EINVAL, negated); bad_family 97 (EAFNOSUPPORT, negated).
#include "bpf.h"

struct fib_lookup {
	u8 family;
	u8 l4_protocol;
	be16 sport;
	be16 dport;
	u16 tot_len;
	u32 ifindex;
	u32 tos;
	be32 src[4];
	be32 dst[4];
	be16 vlan_proto;
	be16 vlan_tci;
	u8 smac[6];
	u8 dmac[6];
};

SEC("xdp")
int lookup(struct xdp_md *ctx)
{
	struct fib_lookup params = {
		.family = 2,
		.l4_protocol = IPPROTO_UDP,
		.ifindex = 1,
		.src = {htonl(0x7f000001)},
		.dst = {htonl(0x7f000001)},
	};
	long answer = bpf_fib_lookup(ctx, &params, sizeof(params), 0);

	return answer < 0 ? XDP_ABORTED : XDP_PASS;
}

SEC("xdp")
int bad_size(struct xdp_md *ctx)
{
	struct fib_lookup params = {.family = 2, .ifindex = 1};

	return -bpf_fib_lookup(ctx, &params, 40, 0);
}

SEC("xdp")
int bad_flags(struct xdp_md *ctx)
{
	struct fib_lookup params = {.family = 2, .ifindex = 1};

	return -bpf_fib_lookup(ctx, &params, sizeof(params), 1 << 30);
}

SEC("xdp")
int bad_family(struct xdp_md *ctx)
{
	struct fib_lookup params = {.family = 77, .ifindex = 1};

	return -bpf_fib_lookup(ctx, &params, sizeof(params), 0);
}

LICENSE("GPL");
