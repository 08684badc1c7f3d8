// SPDX-License-Identifier: Apache-2.0
//
// Byte-wise copies of the packet, twice, through a stack buffer of 256,
// each chunk added up word by word after the copy.
#include "bench.h"

#define CHUNK 256

SEC("xdp")
int bytecopy(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 buffer[CHUNK / 4];
	u32 ret = 0;

	for (int chunk = 0; chunk < 2 * PACKET_LEN; chunk += CHUNK) {
		for (int i = 0; i < CHUNK; i++) {
			((u8 *)buffer)[i] = p[chunk % PACKET_LEN + i];
			barrier(); // or clang makes the loop a call of memcpy
		}
		for (int i = 0; i < CHUNK / 4; i++)
			ret = ret * 31 + buffer[i];
	}
	return ret;
}
