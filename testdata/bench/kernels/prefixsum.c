// SPDX-License-Identifier: Apache-2.0
//
// Sums of ranges: the running sums of 32 words of the packet are kept on the stack,
// then 480 ranges from the packet's bytes are asked for, their ends in any order.
#include "../bench.h"

#define LEN 32

SEC("xdp")
int prefixsum(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 sums[LEN];
	u64 ret = 0, sum = 0;

	for (int i = 0; i < LEN; i++) {
		sums[i] = sum;
		sum += *(u32 *)(p + i * 32 + 4);
	}
	for (int i = 0; i < 480; i++) {
		u32 from = p[i * 2] & 31, to = p[i * 2 + 1] * 13 >> 3 & 31;

		if (from > to) {
			u32 swapped = from;

			from = to;
			to = swapped;
		}
		ret = ret * 31 + (sums[to] - sums[from]) * (to - from);
	}
	return FOLD(ret);
}
