// SPDX-License-Identifier: Apache-2.0
//
// Rewrites addresses and ports as a NAT does: bpf_skb_load_bytes,
// bpf_skb_store_bytes, bpf_l3_csum_replace and bpf_l4_csum_replace.
//
// Results:
//   nat       TC_ACT_OK with the IPv4 source 203.0.113.7 and, for UDP, source
//             port 4242, both checksums still right; TC_ACT_SHOT if the packet
//             is not IPv4 with a whole header
//   relative  bytes 12..15 of the network header by bpf_skb_load_bytes_relative,
//             or the error negated
//   beyond    the error of loading 8 bytes past the end, negated; the buffer is
//             all zero then, or else -1
#include "bpf.h"

#define IP_OFF 14

SEC("tc")
int nat(struct __sk_buff *skb)
{
	const be32 addr = htonl(0xcb007107);
	const be16 port = htons(4242);
	struct ipv4_hdr ip;
	u32 l4;

	if (bpf_skb_load_bytes(skb, IP_OFF, &ip, sizeof(ip)) || ip.ver_ihl >> 4 != 4)
		return TC_ACT_SHOT;
	l4 = IP_OFF + (ip.ver_ihl & 15) * 4;
	if (ip.protocol == IPPROTO_UDP) {
		be16 old;

		if (bpf_skb_load_bytes(skb, l4, &old, sizeof(old)))
			return TC_ACT_SHOT;
		if (bpf_l4_csum_replace(skb, l4 + 6, ip.saddr, addr,
					BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | 4) ||
		    bpf_l4_csum_replace(skb, l4 + 6, old, port, BPF_F_MARK_MANGLED_0 | 2) ||
		    bpf_skb_store_bytes(skb, l4, &port, sizeof(port), 0))
			return TC_ACT_PIPE;
	} else if (ip.protocol == IPPROTO_TCP) {
		if (bpf_l4_csum_replace(skb, l4 + 16, ip.saddr, addr, BPF_F_PSEUDO_HDR | 4))
			return TC_ACT_PIPE;
	}
	if (bpf_l3_csum_replace(skb, IP_OFF + 10, ip.saddr, addr, 4) ||
	    bpf_skb_store_bytes(skb, IP_OFF + 12, &addr, sizeof(addr), BPF_F_INVALIDATE_HASH))
		return TC_ACT_PIPE;
	return TC_ACT_OK;
}

SEC("tc")
int relative(struct __sk_buff *skb)
{
	be32 word;
	long err = bpf_skb_load_bytes_relative(skb, 12, &word, sizeof(word), 1 /* network header */);

	return err ? -err : ntohl(word);
}

SEC("tc")
int beyond(struct __sk_buff *skb)
{
	u64 bytes = ~0ULL;
	long err = bpf_skb_load_bytes(skb, skb->len, &bytes, sizeof(bytes));

	return bytes ? -1 : -err;
}

LICENSE("GPL");
