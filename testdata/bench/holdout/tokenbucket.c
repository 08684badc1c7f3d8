// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of a rate limiter: sixteen token buckets on the stack, 256
// arrivals whose source, spacing and size come from the packet. 64-bit
// multiplication and division, and stack accesses at computed offsets.
#include "../bench.h"

#define RATE 125000ULL      // bytes a second
#define BURST 4000ULL       // bytes
#define SECOND 1000000000ULL

struct bucket {
	u64 tokens;
	u64 last;
};

SEC("xdp")
int tokenbucket(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	struct bucket buckets[16];
	u64 now = 0;
	u32 passed = 0, ret = 0;

	for (int i = 0; i < 16; i++) {
		buckets[i].tokens = BURST;
		buckets[i].last = 0;
	}
	for (int i = 0; i < 256; i++) {
		const u8 *arrival = p + i * 4;
		struct bucket *b = &buckets[arrival[0] >> 4];
		u64 size = 64 + arrival[1] * 5, tokens;

		now += (arrival[2] << 8 | arrival[3]) * 50;
		tokens = b->tokens + (now - b->last) * RATE / SECOND;
		if (tokens > BURST)
			tokens = BURST;
		b->last = now;
		if (tokens >= size) {
			tokens -= size;
			passed++;
		}
		b->tokens = tokens;
		ret = ret * 31 + tokens;
	}
	return ret ^ passed;
}
