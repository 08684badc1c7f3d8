// SPDX-License-Identifier: Apache-2.0
//
// Pushes and pops VLAN tags.
//
// Results:
//   push       vlan_tci after pushing an 802.1Q tag with TCI 0x1064; vlan_proto
//              and vlan_present are in seen[]
//   push_push  len grown by 4: the first tag went into the packet when a second
//              (802.1ad, 0x0007) was pushed
//   pop        0 and the outermost tag gone, for a packet that has one in its
//              bytes or none at all
#include "bpf.h"

u32 seen[3];

SEC("tc")
int push(struct __sk_buff *skb)
{
	if (bpf_skb_vlan_push(skb, htons(ETH_P_8021Q), 0x1064))
		return -1;
	seen[0] = skb->vlan_present;
	seen[1] = ntohs(skb->vlan_proto);
	seen[2] = skb->len;
	return skb->vlan_tci;
}

SEC("tc")
int push_push(struct __sk_buff *skb)
{
	u32 len = skb->len;

	if (bpf_skb_vlan_push(skb, htons(ETH_P_8021Q), 0x1064) ||
	    bpf_skb_vlan_push(skb, htons(ETH_P_8021AD), 0x0007))
		return -1;
	seen[0] = skb->vlan_tci;
	seen[1] = ntohs(skb->vlan_proto);
	seen[2] = skb->len;
	return skb->len - len;
}

SEC("tc")
int pop(struct __sk_buff *skb)
{
	seen[0] = skb->vlan_present;
	seen[1] = bpf_skb_vlan_pop(skb);
	seen[2] = skb->len;
	return seen[1];
}

LICENSE("GPL");
