// A program that Linux would refuse: it takes the packet to be longer than it looked.

#include "bpf.h"

SEC("xdp")
int reckless(struct xdp_md *ctx)
{
	u8 *data = DATA(ctx);

	if (data + 14 > (u8 *)DATA_END(ctx))
		return XDP_DROP;
	return data[60] ? XDP_TX : XDP_PASS;
}

LICENSE("GPL");
