// SPDX-License-Identifier: Apache-2.0
//
// Moves the ends of a packet: bpf_xdp_adjust_head, _tail and _meta.
//
// Results:
//   push_tag   XDP_TX, the packet grown by an 802.1Q tag with id 42 at the front
//   pop_head   XDP_PASS, the first 14 bytes cut off; XDP_DROP if that is refused
//   cut_tail   XDP_PASS, the packet cut to 40 bytes if it was longer
//   grow_tail  XDP_PASS, the packet 16 bytes longer, those being 0xee
//   set_meta   XDP_PASS, 8 bytes of metadata before the packet: 1 to 8; the
//              first byte of the packet replaced by their number
//   too_far    the error of moving the head by more than there is, negated
#include "bpf.h"

SEC("xdp")
int push_tag(struct xdp_md *ctx)
{
	struct eth_hdr *eth;
	struct vlan_hdr *vlan;
	u8 macs[12];
	be16 proto;

	eth = DATA(ctx);
	if ((void *)(eth + 1) > DATA_END(ctx))
		return XDP_DROP;
	__builtin_memcpy(macs, eth, sizeof(macs));
	proto = eth->proto;
	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_ABORTED;
	eth = DATA(ctx);
	vlan = (void *)(eth + 1);
	if ((void *)(vlan + 1) > DATA_END(ctx))
		return XDP_ABORTED;
	__builtin_memcpy(eth, macs, sizeof(macs));
	eth->proto = htons(ETH_P_8021Q);
	vlan->tci = htons(42);
	vlan->proto = proto;
	return XDP_TX;
}

SEC("xdp")
int pop_head(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, 14) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int cut_tail(struct xdp_md *ctx)
{
	long len = DATA_END(ctx) - DATA(ctx);

	if (len > 40 && bpf_xdp_adjust_tail(ctx, 40 - (int)len))
		return XDP_ABORTED;
	return XDP_PASS;
}

SEC("xdp")
int grow_tail(struct xdp_md *ctx)
{
	u32 len = ctx->data_end - ctx->data;
	u8 *p;

	if (bpf_xdp_adjust_tail(ctx, 16))
		return XDP_ABORTED;
	if (len > 1500)
		return XDP_DROP;
	p = DATA(ctx);
	p += len;
	if (p + 16 > (u8 *)DATA_END(ctx))
		return XDP_ABORTED;
	for (int i = 0; i < 16; i++)
		p[i] = 0xee;
	return XDP_PASS;
}

SEC("xdp")
int set_meta(struct xdp_md *ctx)
{
	u8 *meta, *p;

	if (bpf_xdp_adjust_meta(ctx, -8))
		return XDP_ABORTED;
	meta = DATA_META(ctx);
	p = DATA(ctx);
	if (meta + 8 > p || p + 1 > (u8 *)DATA_END(ctx))
		return XDP_DROP;
	for (int i = 0; i < 8; i++)
		meta[i] = i + 1;
	*p = p - meta;
	return XDP_PASS;
}

SEC("xdp")
int too_far(struct xdp_md *ctx)
{
	return -bpf_xdp_adjust_head(ctx, -4096);
}

LICENSE("Apache-2.0");
