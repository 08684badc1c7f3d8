// SPDX-License-Identifier: Apache-2.0
//
// The internet checksum (RFC 1071) of the packet and of 64 overlapping parts
// of 256 bytes, 16 bits at a time.
#include "bench.h"

static INLINE u16 checksum_of(const u16 *words, int n)
{
	u32 sum = 0;

	for (int i = 0; i < n; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

SEC("xdp")
int checksum(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = checksum_of((u16 *)p, PACKET_LEN / 2);

	for (int i = 0; i < 64; i++)
		ret = ret * 31 + checksum_of((u16 *)(p + i * 12), 128);
	return ret;
}
