// SPDX-License-Identifier: Apache-2.0
//
// Bits set in each 64-bit word of the packet, as clang expands
// __builtin_popcountll, and in each word xored with the next: shifts, masks and
// one multiplication by a large constant.
#include "bench.h"

SEC("xdp")
int popcount(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	const u64 *words = (u64 *)p;
	u32 ret = 0;

	for (int i = 0; i < PACKET_LEN / 8; i++)
		ret = ret * 3 + __builtin_popcountll(words[i]);
	for (int i = 0; i < PACKET_LEN / 8 - 1; i++)
		ret = ret * 5 + __builtin_popcountll(words[i] ^ words[i + 1]);
	return ret;
}
