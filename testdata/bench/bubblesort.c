// SPDX-License-Identifier: Apache-2.0
//
// Bubble sort of 20 16-bit numbers of each quarter of the packet in a stack
// buffer: loads and stores at variable stack offsets and a branch that is hard
// to predict.
#include "bench.h"

#define LEN 20

SEC("xdp")
int bubblesort(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (u32 quarter = 0; quarter < 4; quarter++) {
		u16 numbers[LEN];

		for (u32 i = 0; i < LEN; i++)
			numbers[i] = *(u16 *)(p + quarter * 256 + 64 + i * 8) * 40503;
		for (u32 end = LEN - 1; end > 0; end--) {
			for (u32 i = 0; i < end; i++) {
				u16 a = numbers[i], b = numbers[i + 1];

				if (a > b) {
					numbers[i] = b;
					numbers[i + 1] = a;
				}
			}
		}
		for (u32 i = 0; i < LEN; i++)
			ret = ret * 31 + numbers[i];
	}
	return ret;
}
