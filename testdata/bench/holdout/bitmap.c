// SPDX-License-Identifier: Apache-2.0
//
// A bitmap of 1024 bits on the stack: 192 bits set and 64 cleared at places that
// the packet decides, then every set bit found by isolating the lowest one.
#include "../bench.h"

#define WORDS 16

SEC("xdp")
int bitmap(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 words[WORDS];
	u32 ret = 0;

	for (int i = 0; i < WORDS; i++)
		words[i] = p[i];
	for (int i = 0; i < 192; i++) {
		u32 bit = ((u16 *)p)[i] * 40503U >> 6;

		words[bit >> 6 & (WORDS - 1)] |= 1ULL << (bit & 63);
	}
	for (int i = 192; i < 256; i++) {
		u32 bit = ((u16 *)p)[i] * 40503U >> 6;

		words[bit >> 6 & (WORDS - 1)] &= ~(1ULL << (bit & 63));
	}
	for (int i = 0; i < WORDS; i++) {
		u64 word = words[i];

		for (int bits = 0; bits < 24; bits++) {
			u64 lowest = word & -word;

			word ^= lowest;
			ret = ret * 31 + (u32)(lowest * 0x03f79d71b4cb0a89ULL >> 58);
		}
	}
	return ret;
}
