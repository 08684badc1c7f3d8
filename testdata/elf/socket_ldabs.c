// SPDX-License-Identifier: Apache-2.0
//
// Socket filters with the legacy packet loads, LD_ABS and LD_IND. Their offsets
// count from the network header in a test run; SKF_NET_OFF makes that explicit.
//
// Results:
//   ports     destination port of a UDP packet over IPv4, by LD_ABS and LD_IND,
//             0 for others; 0 also where a load is out of the packet
//   sizes     a byte, a half and a word at offset 0, added up in host order
//   negative  the word at SKF_NET_OFF + 12: the IPv4 source
//   outside   a load at 65000, which ends the program with 0 and not with 77
#include "bpf.h"

#define SKF_NET_OFF (-0x100000)

u64 load_byte(void *skb, u64 off) asm("llvm.bpf.load.byte");
u64 load_half(void *skb, u64 off) asm("llvm.bpf.load.half");
u64 load_word(void *skb, u64 off) asm("llvm.bpf.load.word");

SEC("socket")
int ports(struct __sk_buff *skb)
{
	u64 len;

	if (load_byte(skb, 0) >> 4 != 4 || load_byte(skb, 9) != IPPROTO_UDP)
		return 0;
	len = (load_byte(skb, 0) & 15) * 4;
	return load_half(skb, len + 2);
}

SEC("socket")
int sizes(struct __sk_buff *skb)
{
	return load_byte(skb, 0) + load_half(skb, 0) + load_word(skb, 0);
}

SEC("socket")
int negative(struct __sk_buff *skb)
{
	return load_word(skb, SKF_NET_OFF + 12);
}

SEC("socket")
int outside(struct __sk_buff *skb)
{
	u64 word = load_word(skb, 65000);

	opaque(word); // or clang drops it
	return 77;
}

LICENSE("Apache-2.0");
