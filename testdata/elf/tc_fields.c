// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes the fields of __sk_buff.
//
// Results:
//   write_fields  TC_ACT_OK; the context out has mark + 1, priority * 2, cb
//                 reversed; tc_index, tc_classid and queue_mapping read back as
//                 written (otherwise TC_ACT_SHOT)
//   read_fields   a sum of len, protocol, pkt_type, mark, priority, cb[0..4],
//                 vlan_present, ifindex, ingress_ifindex, gso_segs and wire_len,
//                 each weighted; fields[] holds them one by one
//   narrow_fields bytes and halves of mark and cb, combined
#include "bpf.h"

u32 fields[16];

SEC("tc")
int write_fields(struct __sk_buff *skb)
{
	u32 cb0 = skb->cb[0], cb1 = skb->cb[1];

	skb->mark++;
	skb->priority *= 2;
	skb->cb[0] = skb->cb[4];
	skb->cb[1] = skb->cb[3];
	skb->cb[3] = cb1;
	skb->cb[4] = cb0;
	skb->tc_index = 0x1234;
	skb->tc_classid = 0xabcd;
	skb->queue_mapping = 3;
	if (skb->tc_index != 0x1234 || skb->tc_classid != 0xabcd || skb->queue_mapping != 3)
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc")
int read_fields(struct __sk_buff *skb)
{
	u32 sum = 0;

	fields[0] = skb->len;
	fields[1] = skb->protocol;
	fields[2] = skb->pkt_type;
	fields[3] = skb->mark;
	fields[4] = skb->priority;
	for (int i = 0; i < 5; i++)
		fields[5 + i] = skb->cb[i];
	fields[10] = skb->vlan_present;
	fields[11] = skb->vlan_tci;
	fields[12] = skb->gso_segs;
	fields[13] = skb->wire_len;
	fields[14] = skb->ifindex;
	fields[15] = skb->ingress_ifindex;
	for (int i = 0; i < 16; i++)
		sum = sum * 31 + fields[i];
	return sum;
}

SEC("tc")
int narrow_fields(struct __sk_buff *skb)
{
	volatile u8 *mark = (volatile u8 *)&skb->mark;
	volatile u16 *cb = (volatile u16 *)&skb->cb[2];

	return mark[0] | mark[3] << 8 | cb[0] << 16 | (u32)cb[1] << 24;
}

LICENSE("Apache-2.0");
