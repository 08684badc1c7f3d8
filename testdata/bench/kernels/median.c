// SPDX-License-Identifier: Apache-2.0
//
// A filter by the median of five neighbouring bytes over the packet, by a network of
// seven compares and swaps: minima and maxima of small numbers.
#include "../bench.h"

#define SORT(a, b)                                                            \
	do {                                                                  \
		u32 low = a < b ? a : b, high = a < b ? b : a;                \
		a = low, b = high;                                            \
	} while (0)

static INLINE u32 median_of(const u8 *bytes)
{
	u32 a = bytes[0], b = bytes[1], c = bytes[2], d = bytes[3], e = bytes[4];

	SORT(a, b);
	SORT(d, e);
	SORT(a, d);
	SORT(b, e);
	SORT(b, c);
	SORT(c, d);
	SORT(b, c);
	return c;
}

SEC("xdp")
int median(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (int i = 0; i < 768; i++)
		ret = ret * 31 + median_of(p + i);
	return ret;
}
