// SPDX-License-Identifier: Apache-2.0
//
// The MurmurHash3 32-bit mix over the packet, four times, each seeded by the last:
// 32-bit multiplies and rotates.
#include "bench.h"

static INLINE u32 rotl(u32 x, int n)
{
	return x << n | x >> (32 - n);
}

static INLINE u32 murmur3(const u32 *words, u32 hash)
{
	for (int i = 0; i < PACKET_LEN / 4; i++) {
		u32 k = words[i] * 0xcc9e2d51;

		hash ^= rotl(k, 15) * 0x1b873593;
		hash = rotl(hash, 13) * 5 + 0xe6546b64;
	}
	hash ^= PACKET_LEN;
	hash = (hash ^ hash >> 16) * 0x85ebca6b;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35;
	return hash ^ hash >> 16;
}

SEC("xdp")
int murmur(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 hash = 0x9747b28c;

	for (int round = 0; round < 4; round++)
		hash = murmur3((u32 *)p, hash);
	return hash;
}
