// SPDX-License-Identifier: Apache-2.0
//
// xxHash64 of the packet, four times, each seeded by the last: four independent
// lanes of 64-bit multiplies and rotates, then the merge and the avalanche.
#include "../bench.h"

#define P1 0x9e3779b185ebca87ULL
#define P2 0xc2b2ae3d27d4eb4fULL
#define P3 0x165667b19e3779f9ULL
#define P4 0x85ebca77c2b2ae63ULL

static INLINE u64 rotl(u64 x, int n)
{
	return x << n | x >> (64 - n);
}

static INLINE u64 lane(u64 acc, u64 input)
{
	return rotl(acc + input * P2, 31) * P1;
}

static INLINE u64 merge(u64 hash, u64 acc)
{
	return (hash ^ lane(0, acc)) * P1 + P4;
}

static INLINE u64 xxh64(const u64 *words, u64 seed)
{
	u64 a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
	u64 hash;

	for (int i = 0; i < PACKET_LEN / 8; i += 4) {
		a = lane(a, words[i]);
		b = lane(b, words[i + 1]);
		c = lane(c, words[i + 2]);
		d = lane(d, words[i + 3]);
	}
	hash = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18);
	hash = merge(merge(merge(merge(hash, a), b), c), d) + PACKET_LEN;
	hash = (hash ^ hash >> 33) * P2;
	hash = (hash ^ hash >> 29) * P3;
	return hash ^ hash >> 32;
}

SEC("xdp")
int xxhash64(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 hash = 0;

	for (int round = 0; round < 4; round++)
		hash = xxh64((u64 *)p, hash);
	return FOLD(hash);
}
