// SPDX-License-Identifier: Apache-2.0
//
// A radix sort of 64 16-bit keys of each half of the packet, four bits at a time
// between two buffers on the stack: counters and keys at computed stack offsets.
#include "../bench.h"

#define LEN 64

static INLINE void pass(const u16 *from, u16 *to, u32 shift)
{
	u32 starts[16];
	u32 sum = 0;

	for (int i = 0; i < 16; i++) {
		starts[i] = 0;
		barrier(); // or clang makes the loop a call of memset
	}
	for (int i = 0; i < LEN; i++)
		starts[from[i] >> shift & 15]++;
	for (int i = 0; i < 16; i++) {
		u32 count = starts[i];

		starts[i] = sum;
		sum += count;
	}
	for (int i = 0; i < LEN; i++)
		to[starts[from[i] >> shift & 15]++ & (LEN - 1)] = from[i];
}

SEC("xdp")
int radixsort(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (u32 half = 0; half < 2; half++) {
		u16 keys[LEN], other[LEN];

		for (u32 i = 0; i < LEN; i++)
			keys[i] = *(u32 *)(p + half * 512 + i * 7) * 0x9e3779b1 >> 16;
		for (u32 shift = 0; shift < 16; shift += 8) {
			pass(keys, other, shift);
			pass(other, keys, shift + 4);
		}
		for (u32 i = 0; i < LEN; i++)
			ret = ret * 31 + keys[i];
	}
	return ret;
}
