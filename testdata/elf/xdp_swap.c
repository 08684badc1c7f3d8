// SPDX-License-Identifier: Apache-2.0
//
// Sends a packet back: swaps the MAC addresses, and for IPv4 the addresses too,
// lowers the TTL and fixes the header checksum incrementally (RFC 1624).
//
// Result: XDP_TX and the packet changed as said; XDP_DROP if it is IPv4 and its
// TTL is 1 or 0; XDP_PASS and no change if it is too short.
#include "bpf.h"

SEC("xdp")
int xdp_swap(struct xdp_md *ctx)
{
	void *end = DATA_END(ctx);
	struct eth_hdr *eth = DATA(ctx);
	struct ipv4_hdr *ip = (void *)(eth + 1);
	u8 mac[6];

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	__builtin_memcpy(mac, eth->dst, 6);
	__builtin_memcpy(eth->dst, eth->src, 6);
	__builtin_memcpy(eth->src, mac, 6);
	if (eth->proto == htons(ETH_P_IP) && (void *)(ip + 1) <= end) {
		be32 addr = ip->saddr;
		u32 check;

		if (ip->ttl <= 1)
			return XDP_DROP;
		ip->saddr = ip->daddr;
		ip->daddr = addr;
		ip->ttl--;
		check = ip->check + htons(0x0100);
		ip->check = check + (check >= 0xffff);
	}
	return XDP_TX;
}

LICENSE("Apache-2.0");
