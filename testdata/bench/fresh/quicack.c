// SPDX-License-Identifier: Apache-2.0
//
// QUIC's integers of variable length (RFC 9000, 16): the ranges of ACK frames are
// decoded from sixteen places of the packet, each integer of 1, 2, 4 or 8 bytes.
#include "../bench.h"

#define MAX_RANGES 48

// varint reads the integer at *at, which it moves behind it (RFC 9000, A.1). It
// returns -1 if the packet ends before the integer does.
static INLINE s64 varint(const u8 *start, u32 *at, const u8 *end)
{
	const u8 *p = start + *at;
	u32 len;
	u64 v;

	if (*at > PACKET_LEN || p + 1 > end)
		return -1;
	len = 1 << (*p >> 6);
	v = *p & 0x3f;
	for (u32 i = 1; i < 8 && i < len; i++) {
		if (p + i + 1 > end)
			return -1;
		v = v << 8 | p[i];
	}
	*at += len;
	return v;
}

// A global function: Linux verifies it once and not at every call.
NOINLINE u64 ack_ranges(struct xdp_md *ctx, u32 at)
{
	const u8 *start = DATA(ctx), *end = DATA_END(ctx);
	u64 smallest = ~0ULL >> 2, acked = 0;

	for (int i = 0; i < MAX_RANGES; i++) {
		s64 gap, len;

		gap = varint(start, &at, end);
		if (gap < 0)
			break;
		len = varint(start, &at, end);
		if (len < 0)
			break;
		// What goes below zero would close a connection; here it starts again.
		if (smallest < (u64)gap + 2 + len)
			smallest = ~0ULL >> 2;
		smallest -= gap + 2;
		acked += len + 1;
		smallest -= len;
	}
	return acked ^ smallest;
}

SEC("xdp")
int quicack(struct xdp_md *ctx)
{
	u64 ret = 0;

	for (u32 i = 0; i < 16; i++)
		ret = ret * 31 + ack_ranges(ctx, i * 37);
	return FOLD(ret);
}
