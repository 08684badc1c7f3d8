// SPDX-License-Identifier: Apache-2.0
//
// Binary search, without branches in the steps, of 256 keys from the packet in
// a sorted table of 32 words on the stack.
#include "../bench.h"

#define LEN 32

SEC("xdp")
int binsearch(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 table[LEN];
	u32 ret = 0, sum = 0;

	for (int i = 0; i < LEN; i++)
		table[i] = sum += p[i] + 1;
	for (int i = 0; i < 256; i++) {
		u64 key = *(u16 *)(p + i * 4) & 0xfff;
		u32 at = 0;

		for (u32 step = LEN / 2; step > 0; step >>= 1)
			at += step & (s32)((s64)(table[(at + step) & (LEN - 1)] - key - 1) >> 63);
		ret = ret * 31 + at;
	}
	return ret;
}
