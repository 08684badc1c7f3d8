// SPDX-License-Identifier: Apache-2.0
//
// 5-tuple parsing: the packet holds sixteen frames of 64 bytes, each Ethernet
// with an optional VLAN tag, IPv4 (with or without options) or IPv6, TCP or
// UDP. Every frame is parsed eight times and its tuple hashed.
#include "bench.h"

struct tuple {
	u32 saddr;
	u32 daddr;
	u16 sport;
	u16 dport;
	u8 protocol;
};

static INLINE int parse(const u8 *frame, const u8 *end, struct tuple *t)
{
	const struct eth_hdr *eth = (void *)frame;
	const u16 *ports;
	u16 proto = eth->proto;
	u32 offset = sizeof(*eth);

	if (proto == htons(ETH_P_8021Q)) {
		proto = ((struct vlan_hdr *)(frame + offset))->proto;
		offset += sizeof(struct vlan_hdr);
	}
	if (proto == htons(ETH_P_IP)) {
		const struct ipv4_hdr *ip = (void *)(frame + offset);
		u32 ihl = (ip->ver_ihl & 15) * 4;

		if (ihl < 20 || ip->frag & htons(0x1fff))
			return -1;
		t->saddr = ip->saddr;
		t->daddr = ip->daddr;
		t->protocol = ip->protocol;
		offset += ihl;
	} else if (proto == htons(ETH_P_IPV6)) {
		const struct ipv6_hdr *ip = (void *)(frame + offset);

		t->saddr = ip->saddr[0] ^ ip->saddr[1] ^ ip->saddr[2] ^ ip->saddr[3];
		t->daddr = ip->daddr[0] ^ ip->daddr[1] ^ ip->daddr[2] ^ ip->daddr[3];
		t->protocol = ip->nexthdr;
		offset += sizeof(*ip);
	} else {
		return -1;
	}
	if (t->protocol != IPPROTO_TCP && t->protocol != IPPROTO_UDP)
		return -1;
	ports = (void *)(frame + offset);
	if ((u8 *)(ports + 2) > end)
		return -1;
	t->sport = ntohs(ports[0]);
	t->dport = ntohs(ports[1]);
	return 0;
}

SEC("xdp")
int fivetuple(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 hash = 0;

	for (int i = 0; i < 128; i++) {
		struct tuple t;

		if (parse(p + (i & 15) * 64, DATA_END(ctx), &t)) {
			hash++;
			continue;
		}
		hash = (hash ^ t.saddr) * 0x9e3779b1;
		hash = (hash ^ t.daddr) * 0x85ebca77;
		hash = (hash ^ (t.sport << 16 | t.dport)) * 0xc2b2ae3d;
		hash = (hash ^ t.protocol) + (hash >> 15);
	}
	return hash;
}
