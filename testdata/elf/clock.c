// SPDX-License-Identifier: Apache-2.0
//
// Clocks, randomness and the CPU.
//
// Result: 0, or bits of what went wrong: 1 the clock ran backwards, 2 64 random
// numbers were all the same, 4 the CPU changed, 8 the boot clock is behind the
// monotonic one, 16 the coarse clock is ahead of the fine one.
#include "bpf.h"

SEC("tc")
int clock(struct __sk_buff *skb)
{
	u64 before = bpf_ktime_get_ns(), after, coarse;
	u32 cpu = bpf_get_smp_processor_id();
	u32 first = bpf_get_prandom_u32(), different = 0;
	int wrong = 0;

	for (int i = 0; i < 64; i++)
		different |= bpf_get_prandom_u32() ^ first;
	if (!different)
		wrong |= 2;
	coarse = bpf_ktime_get_coarse_ns();
	after = bpf_ktime_get_ns();
	if (after < before)
		wrong |= 1;
	if (coarse > after)
		wrong |= 16;
	if (bpf_ktime_get_boot_ns() < before)
		wrong |= 8;
	if (bpf_get_smp_processor_id() != cpu)
		wrong |= 4;
	return wrong;
}

LICENSE("GPL");
