// SPDX-License-Identifier: Apache-2.0
//
// Fibonacci numbers modulo 2^64: a chain of additions. How far each sequence
// runs comes from the packet, so the loop's trip count is not a constant.
#include "bench.h"

SEC("xdp")
int fibonacci(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 sum = 0;

	for (int round = 0; round < 64; round++) {
		u64 a = p[round], b = 1;
		u32 n = 32 + (p[64 + round] & 63);

		for (u32 i = 0; i < n; i++) {
			u64 next = a + b;

			a = b;
			b = next;
		}
		sum ^= b;
	}
	return FOLD(sum);
}
