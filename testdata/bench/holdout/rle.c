// SPDX-License-Identifier: Apache-2.0
//
// Run-length encoding of the packet's bytes, reduced to two bits so that there
// are runs. The code is hashed as it comes.
#include "../bench.h"

SEC("xdp")
int rle(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 hash = 0, run = 0;
	u8 last = p[0] >> 6;

	for (int i = 0; i < PACKET_LEN; i++) {
		u8 symbol = p[i] >> 6;

		if (symbol != last) {
			hash = (hash ^ run << 8 ^ last) * 0x01000193;
			last = symbol;
			run = 0;
		}
		run++;
	}
	return (hash ^ run << 8 ^ last) * 0x01000193;
}
