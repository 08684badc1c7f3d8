// SPDX-License-Identifier: Apache-2.0
//
// A naive search of the packet for four patterns of four bytes, each taken from
// the packet itself. Positions and partial matches are hashed.
#include "../bench.h"

// A global function: Linux verifies it once and not at every call.
NOINLINE u32 search(struct xdp_md *ctx, u32 which)
{
	PACKET(p, ctx);
	const u8 *pattern = p + 200;
	u8 first, second, third, fourth;
	u32 ret = 0;

	pattern += (which & 3) * 150;
	if (pattern + 4 > (u8 *)DATA_END(ctx))
		return 0;
	first = pattern[0], second = pattern[1], third = pattern[2], fourth = pattern[3];
	for (u32 at = 0; at < PACKET_LEN - 4; at++) {
		if (p[at] != first)
			continue;
		ret++;
		if (p[at + 1] == second && p[at + 2] == third && p[at + 3] == fourth)
			ret = ret * 31 + at;
	}
	return ret;
}

SEC("xdp")
int strsearch(struct xdp_md *ctx)
{
	u32 ret = 0;

	for (u32 i = 0; i < 4; i++)
		ret = ret * 33 + search(ctx, i);
	return ret;
}
