// SPDX-License-Identifier: Apache-2.0
//
// FNV-1a, 64 bits wide, over every byte of the packet, three times.
#include "bench.h"

SEC("xdp")
int fnv1a(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 hash = 0xcbf29ce484222325ULL;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < PACKET_LEN; i++) {
			hash ^= p[i];
			hash *= 0x100000001b3ULL;
		}
	}
	return FOLD(hash);
}
