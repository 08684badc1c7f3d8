// SPDX-License-Identifier: Apache-2.0
//
// Changes the size, the kind and the protocol of an skb.
//
// Results:
//   head   TC_ACT_OK, 14 bytes of zero at the front with the EtherType repeated
//   tail   the new length: cut to 42 bytes, or filled up to it with zeros
//   kind   1 (PACKET_BROADCAST) as read back after bpf_skb_change_type, or the
//          error negated
//   pull   the number of linear bytes after bpf_skb_pull_data of all
//   to_v6  0 and an IPv4 packet 20 bytes longer, or the error negated
#include "bpf.h"

SEC("tc")
int head(struct __sk_buff *skb)
{
	struct eth_hdr *eth;

	if (bpf_skb_change_head(skb, sizeof(*eth), 0))
		return TC_ACT_SHOT;
	eth = DATA(skb);
	if ((void *)(eth + 2) > DATA_END(skb))
		return TC_ACT_SHOT;
	eth[0].proto = eth[1].proto;
	return TC_ACT_OK;
}

SEC("tc")
int tail(struct __sk_buff *skb)
{
	if (bpf_skb_change_tail(skb, 42, 0))
		return -1;
	return skb->len;
}

SEC("tc")
int kind(struct __sk_buff *skb)
{
	long err = bpf_skb_change_type(skb, 1);

	return err ? -err : skb->pkt_type;
}

SEC("tc")
int pull(struct __sk_buff *skb)
{
	if (bpf_skb_pull_data(skb, 0))
		return -1;
	return skb->data_end - skb->data;
}

SEC("tc")
int to_v6(struct __sk_buff *skb)
{
	return -bpf_skb_change_proto(skb, htons(ETH_P_IPV6), 0);
}

LICENSE("GPL");
