// SPDX-License-Identifier: Apache-2.0
//
// The greatest common divisor of 128 pairs of words of the packet by Euclid's
// algorithm in a subprogram: 32-bit remainders, trip counts from the data.
#include "../bench.h"

static NOINLINE u32 gcd_of(u32 a, u32 b)
{
	for (int i = 0; i < 48 && b; i++) {
		u32 rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

SEC("xdp")
int gcd(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	const u32 *words = (u32 *)p;
	u32 ret = 0;

	for (u32 i = 0; i < 128; i++)
		ret = ret * 31 + gcd_of(words[i * 2] * (i | 1), words[i * 2 + 1]);
	return ret;
}
