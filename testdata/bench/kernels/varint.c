// SPDX-License-Identifier: Apache-2.0
//
// The packet read as a stream of integers of variable length (LEB128), twice: seven
// bits a byte, the top bit says that more follow. Each is zigzag-decoded and added up.
#include "../bench.h"

SEC("xdp")
int varint(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 sum = 0;
	u32 count = 0;

	for (int round = 0; round < 2; round++) {
		u64 value = 0;
		u32 shift = 0;

		for (int i = 0; i < PACKET_LEN; i++) {
			u8 byte = p[i];

			value |= (u64)(byte & 127) << (shift & 63);
			if (byte & 128) {
				shift += 7;
				continue;
			}
			sum = sum * 31 + (value >> 1 ^ -(value & 1));
			count++;
			value = 0;
			shift = 0;
		}
	}
	return FOLD(sum) ^ count;
}
