// SPDX-License-Identifier: Apache-2.0
//
// SipHash-2-4 over the packet, twice, the second time keyed by the first: 64-bit additions, xors and rotates in four
// dependent lanes.
#include "bench.h"

#define ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUND()                                                               \
	do {                                                                  \
		v0 += v1, v1 = ROTL(v1, 13) ^ v0, v0 = ROTL(v0, 32);          \
		v2 += v3, v3 = ROTL(v3, 16) ^ v2;                             \
		v0 += v3, v3 = ROTL(v3, 21) ^ v0;                             \
		v2 += v1, v1 = ROTL(v1, 17) ^ v2, v2 = ROTL(v2, 32);          \
	} while (0)

static INLINE u64 siphash24(const u64 *words, u64 k0, u64 k1)
{
	u64 v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
	u64 v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
	u64 last = (u64)(PACKET_LEN & 0xff) << 56;

	for (int i = 0; i < PACKET_LEN / 8; i++) {
		v3 ^= words[i];
		ROUND();
		ROUND();
		v0 ^= words[i];
	}
	v3 ^= last;
	ROUND();
	ROUND();
	v0 ^= last;
	v2 ^= 0xff;
	ROUND();
	ROUND();
	ROUND();
	ROUND();
	return v0 ^ v1 ^ v2 ^ v3;
}

SEC("xdp")
int siphash(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 hash = 0x0706050403020100ULL;

	for (int round = 0; round < 2; round++)
		hash = siphash24((u64 *)p, hash, 0x0f0e0d0c0b0a0908ULL);
	return FOLD(hash);
}
