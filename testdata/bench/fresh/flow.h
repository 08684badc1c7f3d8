// SPDX-License-Identifier: Apache-2.0
//
// The flow that a frame of the packet belongs to.

#include "../bench.h"

#define FRAMES 16
#define FRAME_LEN 64

struct flow {
	be32 saddr;
	be32 daddr;
	be16 sport;
	be16 dport;
	u8 protocol;
};

// parse_flow reads the flow of an Ethernet frame with an optional VLAN tag, IPv4
// and TCP or UDP. It returns the offset of the IPv4 header, or -1 for other frames.
static INLINE int parse_flow(const u8 *frame, const u8 *end, struct flow *f)
{
	u32 offset = sizeof(struct eth_hdr);
	be16 proto = ((struct eth_hdr *)frame)->proto;
	const struct ipv4_hdr *ip;
	const be16 *ports;

	if (proto == htons(ETH_P_8021Q)) {
		proto = ((struct vlan_hdr *)(frame + offset))->proto;
		offset += sizeof(struct vlan_hdr);
	}
	if (proto != htons(ETH_P_IP))
		return -1;
	ip = (void *)(frame + offset);
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return -1;
	ports = (void *)((u8 *)ip + (ip->ver_ihl & 15) * 4);
	if ((u8 *)(ports + 2) > end)
		return -1;
	f->saddr = ip->saddr;
	f->daddr = ip->daddr;
	f->protocol = ip->protocol;
	f->sport = ports[0];
	f->dport = ports[1];
	return offset;
}
