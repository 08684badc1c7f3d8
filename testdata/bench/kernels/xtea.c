// SPDX-License-Identifier: Apache-2.0
//
// XTEA in CBC mode over 32 blocks of the packet, each by a call of a subprogram: the
// words of the key are at computed stack offsets.
#include "../bench.h"

#define ROUNDS 32
#define DELTA 0x9e3779b9

static NOINLINE u64 encipher(const u32 *key, u32 v0, u32 v1)
{
	u32 sum = 0;

	for (int i = 0; i < ROUNDS; i++) {
		v0 += ((v1 << 4 ^ v1 >> 5) + v1) ^ (sum + key[sum & 3]);
		sum += DELTA;
		v1 += ((v0 << 4 ^ v0 >> 5) + v0) ^ (sum + key[sum >> 11 & 3]);
	}
	return (u64)v0 << 32 | v1;
}

SEC("xdp")
int xtea(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 key[4];
	u64 block = 0x0123456789abcdefULL;

	for (int i = 0; i < 4; i++)
		key[i] = *(u32 *)(p + i * 8 + 20);
	for (int i = 0; i < 32; i++) {
		block ^= *(u64 *)(p + i * 32);
		block = encipher(key, block >> 32, block);
	}
	return FOLD(block);
}
