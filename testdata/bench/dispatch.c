// SPDX-License-Identifier: Apache-2.0
//
// A byte-code machine: each packet byte selects one of sixteen operations in a
// switch, which clang turns into a tree of compares.
#include "bench.h"

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 a = 1, b = 2, c = 3;

	for (int i = 0; i < PACKET_LEN; i++) {
		switch ((p[i] ^ p[i] >> 4) & 15) {
		case 0: a += b; break;
		case 1: b ^= c; break;
		case 2: c -= a; break;
		case 3: a = a << 3 | a >> 29; break;
		case 4: b *= 0x01000193; break;
		case 5: c |= 1; break;
		case 6: a ^= p[i]; break;
		case 7: b += i; break;
		case 8: c = c >> 5 ^ b; break;
		case 9: a = ~a; break;
		case 10: b -= c; break;
		case 11: c *= a; break;
		case 12: a &= 0x7fffffff; break;
		case 13: b = b << 7 | b >> 25; break;
		case 14: c += 0x9e3779b9; break;
		case 15: a -= c; break;
		}
	}
	return a ^ b ^ c;
}
