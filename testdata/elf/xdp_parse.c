// SPDX-License-Identifier: Apache-2.0
//
// Parses Ethernet, up to two VLAN tags, IPv4 with options, IPv6, TCP and UDP by
// direct packet access, and counts packets by kind in an array map.
//
// Result: XDP_PASS for TCP and UDP, XDP_DROP for a packet that ends early,
// XDP_TX for anything else. seen[kind] goes up by one: 0 too short, 1 not IP,
// 2 other IP, 3 TCP, 4 UDP; last_port holds the destination port, host order.
#include "bpf.h"

enum kind { SHORT, NOT_IP, OTHER_IP, TCP, UDP, KINDS };

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	TYPE(key, u32);
	TYPE(value, u64);
	NUM(max_entries, KINDS);
} seen SEC(".maps");

u32 last_port;

static INLINE enum kind parse(void *p, void *end)
{
	struct eth_hdr *eth = p;
	struct udp_hdr *ports;
	be16 proto;
	u8 transport;

	p += sizeof(*eth);
	if (p > end)
		return SHORT;
	proto = eth->proto;
	for (int tags = 0; tags < 2; tags++) {
		struct vlan_hdr *vlan = p;

		if (proto != htons(ETH_P_8021Q) && proto != htons(ETH_P_8021AD))
			break;
		p += sizeof(*vlan);
		if (p > end)
			return SHORT;
		proto = vlan->proto;
	}
	if (proto == htons(ETH_P_IP)) {
		struct ipv4_hdr *ip = p;
		u32 len;

		if ((void *)(ip + 1) > end)
			return SHORT;
		len = (ip->ver_ihl & 15) * 4;
		if (len < sizeof(*ip))
			return SHORT;
		transport = ip->protocol;
		p += len;
	} else if (proto == htons(ETH_P_IPV6)) {
		struct ipv6_hdr *ip = p;

		p += sizeof(*ip);
		if (p > end)
			return SHORT;
		transport = ip->nexthdr;
	} else {
		return NOT_IP;
	}
	if (transport != IPPROTO_TCP && transport != IPPROTO_UDP)
		return OTHER_IP;
	ports = p;
	if ((void *)(ports + 1) > end)
		return SHORT;
	last_port = ntohs(ports->dport);
	return transport == IPPROTO_TCP ? TCP : UDP;
}

SEC("xdp")
int xdp_parse(struct xdp_md *ctx)
{
	u32 kind = parse(DATA(ctx), DATA_END(ctx));
	u64 *count = bpf_map_lookup_elem(&seen, &kind);

	if (count)
		(*count)++;
	switch (kind) {
	case SHORT:
		return XDP_DROP;
	case TCP:
	case UDP:
		return XDP_PASS;
	default:
		return XDP_TX;
	}
}

LICENSE("Apache-2.0");
