// SPDX-License-Identifier: Apache-2.0
//
// xorshift64*: 1200 rounds of dependent shifts and xors, seeded by the packet.
#include "bench.h"

SEC("xdp")
int xorshift(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 x = *(u64 *)p | 1;
	u64 sum = 0;

	for (int i = 0; i < 1200; i++) {
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		sum += x * 0x2545f4914f6cdd1dULL;
	}
	return FOLD(sum);
}
